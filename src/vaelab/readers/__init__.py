"""Readers: any training log -> Run. One file per log format."""
