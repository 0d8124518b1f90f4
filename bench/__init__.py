"""Measurements: `python3 build.py bench`, explained in docs/PERFORMANCE.md.

`native` compares whole commands with lz4, zstd and the limit (`limit`); `start` measures a resumer
that finds no image; `scale` at long streams (`generate`); `hibernation` at virtual machines,
`devices` at slow devices in one; `server` at a store on a server, by programs in which `transfer`
stands for their main module. `profile` shows where the time goes, by the `probes` that it puts into
the programs. They share the streams of `stream`, `measure` (with `spawn`), which runs commands in
turn, and `figure`, which knows bars and prints tables.

Every figure is a median of several runs, compared only with figures of the same run: the
machines it runs on are shared. Nothing here is a test.
"""
