"""Folders in which a file is complete or not there at all: here, at S3, on an SFTP server."""
