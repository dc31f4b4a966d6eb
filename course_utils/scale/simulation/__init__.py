"""The compiled half of the simulator: arrays in, arrays out, and a small function for each thing that happens.

`records` says what there is; `queues`, `waiting` and `memory` keep it; `steps` runs a replica; `route` and `scaling`
decide; `machines` starts and ends replicas; `requests` is what befalls a request; `loop` puts it in order of time.

A replica is looked at only when something concerns it: until then its steps need no clock but its own. What a step
changes can be counted without touching a single request, because each running request's context grows by one a step:
`offset` = context - steps is a constant of it, and the sum of contexts is the sum of offsets + steps x requests.
"""
