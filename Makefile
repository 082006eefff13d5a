# Two commands on a fresh machine: `make run` and `make test`. They need Python 3.11+, make and a package index.
PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help run backfill explain simulate erase-landing sync feedback doctor dev parse test soak spark-parity bench lint lock clean

help: ## show the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

# A set is installed when its lock file is, whole and with its hashes checked.
.venv/%.installed: requirements/%.lock
	@echo "Installing the set '$*' into .venv (once; see requirements/$*.lock)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@start=$$(date +%s); \
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes --requirement requirements/$*.lock && \
	echo "Installed in $$(($$(date +%s) - start)) s"
	@touch $@

run: .venv/run.installed ## load what has landed (the sample unless BAROMETER_LANDING is set), build, publish, extract
	@$(BIN)/python -m orchestration run $(ARGS)

backfill: .venv/run.installed ## build older dates, a file each: FROM=2026-05-01 [TO=2026-06-29] [ARGS=--dry-run]
	@$(BIN)/python -m orchestration backfill --from "$(FROM)" $(if $(TO),--to "$(TO)") $(ARGS)

# USER is also a variable of every shell: only that of the command line counts, as it was written
explain: export EXPLAIN_USER := $(if $(filter command,$(origin USER)),$(value USER))
explain: export EXPLAIN_AS_OF := $(if $(filter command,$(origin AS_OF)),$(value AS_OF))
explain: .venv/run.installed ## say what is known of one user, and why: USER=u10702 [AS_OF=2026-06-30] [ARGS=--addresses]
	@$(BIN)/python -m orchestration explain $${EXPLAIN_AS_OF:+--as-of="$$EXPLAIN_AS_OF"} $(ARGS) -- "$$EXPLAIN_USER"

simulate: export SIMULATE_POLICY := $(value POLICY)
simulate: .venv/run.installed ## say what other caps would have done, beside those in force: POLICY=my_caps.csv [ARGS=--json]
	@$(BIN)/python -m orchestration simulate --policy="$$SIMULATE_POLICY" $(ARGS)

erase-landing: .venv/run.installed ## list the landing files that still hold users who asked to be forgotten
	@$(BIN)/python -m orchestration erase-landing $(ARGS)

sync: .venv/run.installed ## send what providers have not accepted yet: ARGS="--dry-run", ARGS="--only braze --allow fallen"
	@$(BIN)/python -m orchestration sync $(ARGS)

feedback: .venv/run.installed ## turn what a provider reports into landing files: ARGS="--provider braze FILES…"
	@$(BIN)/python -m orchestration feedback $(ARGS)

dev: .venv/run.installed ## open the Dagster UI on this machine
	@$(BIN)/python -m orchestration dev $(ARGS)

doctor: .venv/run.installed ## say what is wrong with the data folder, and how to mend it: ARGS=--fix or ARGS=--rebuild
	@$(BIN)/python -m orchestration doctor $(ARGS)

parse: .venv/run.installed ## parse the dbt project, after a model was added
	@$(BIN)/python -m orchestration parse

test: .venv/test.installed .venv/spark.installed ## run everything that .ci/run runs, with the seconds of each group
	@$(BIN)/python -m tests.groups $(GROUPS)

soak: .venv/test.installed ## for hours: ten times as many random worlds, 1,000 orders of files, whole runs that take long, 300 kills, 2,000 stories of faulty providers
	@BAROMETER_WORLDS=10 $(BIN)/python -m tests.groups properties orders adding 'long stories' syncs kills

spark-parity: .venv/spark.installed ## build random worlds on DuckDB and on Spark and compare every table, row by row (needs Java 17)
	@$(BIN)/python -m tests.groups 'spark parity'

bench: .venv/bench.installed ## print the benchmark table, or that of a world of a size: SCALE=s (20 thousand users), m (200 thousand), l (2 million)
	@$(BIN)/python -m tests.benchmarks $(if $(SCALE),--scale $(SCALE)) $(ARGS)

lint: .venv/test.installed ## check style and types
	@$(BIN)/python -m tests.groups lint

lock: ## write the lock files anew
	@test -x .venv-lock/bin/uv || ($(PYTHON) -m venv .venv-lock && .venv-lock/bin/pip install --quiet uv)
	@for set in "run:" "test:--extra test" "bench:--extra test --extra bench" "spark:--extra test --extra spark"; do \
		.venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
			--no-header --no-strip-extras $${set#*:} pyproject.toml -o requirements/$${set%%:*}.lock || exit 1; \
	done

clean: ## remove what runs made below data/, planned contacts and history too (never landing files)
	@rm -rf data/warehouse data/planned_contacts data/extracts data/deliveries data/outgoing data/report data/logs data/dagster dbt_project/target dbt_project/logs
