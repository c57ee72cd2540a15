"""The pipeline process: frames from a source through a service to the journal.

One process for each pipeline, started by the runtime as `python -m node.vision`. It decides
nothing about where it runs, loads no model, and may hang or die without harm to anyone else: the
runtime caps its memory (data segment, measured: 120 MB with all libraries loaded, 260 MB while
decoding 4K) and has it end with the runtime.

**In:** one JSON line on standard input, an object with the keys of `spec.PipelineSpec`: workload,
source_url, service, every_ms, journal_on_change, journal_summary_every_ms, threshold,
inference_address, and perhaps deadline_ms. Then, for one with a deadline, lines with a later
`deadline_ms` each; the end of the input means nothing.

**Out:** JSON lines on standard output,
{"event": str, "kind": str, "fields": {str: str}, "unix_ms": int} (when it happened), which are:

- kind `progress`, event `frame`, about once a second while the process lives: frames,
  inferences, failed, phase, reason.
- kind `data`, event `detection.changed`, when the number of detections is another: frame, before,
  count, best_score.
- kind `data`, event `detection.summary`, every `journal_summary_every_ms` and at the end:
  interval_ms, frames, late, inferences, failed, detections_max, detections_mean.
- kind `record`, event `pipeline.error`, when something does not work, at most every 10 s: place
  (source, service), reason, untold.
- kind `record`, event `pipeline.recovered`, when it works again: place, after_ms.

`progress` is for the supervisor and is not journalled: a pipeline that prints no line for
`limits.SILENT_MS_MAX` hangs in native code, and has to be killed. `phase` is starting, running
or failing; `reason` says why it is failing. The others go to the journal as they are.

**End:** SIGTERM ends it within one step (an open or a call to the service, at most 5 s), exit code
0. Exit code 2: the spec cannot be used, as its last words on standard error say; trying again is
of no use. Exit code 3: its deadline is over; it says nothing more. Everything else that fails
(source, service) is told, and tried again from inside.
"""
