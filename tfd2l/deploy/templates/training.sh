# A worker that starts again resumes the run. All workers choose alike: the run's directory appears
# when the last of them has joined.
if [ -f $record ]; then
  set -- --resume $run
else
  set -- $flags
fi
exec python -m tfd2l.train "$$@"$workers
