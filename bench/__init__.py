"""Measures Clarion beside what people would otherwise use: `scripts/bench [NAME…] [--json FILE]`.

Every figure is measured in the same run as its peer, in turns, on the same machine: what is measured has one
core for itself, what measures it has another. Medians of the rounds are told.

    figures     the list of all figures: a new one is a file here and a line there
    figure      a measured value, its peer, its goal
    machine     cores, the disk, programs that must be there
    processes   what is started here, and ended here
    service     an installation of Clarion in a temporary folder, and its people and phones
    load        the caller: keep-alive connections over plain sockets
"""
