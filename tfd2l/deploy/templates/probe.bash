# Does every model have an available version? The image has bash, grep and timeout, but no
# curl. A status comes with a 200 also while a model loads, so its text counts.
for model in $names; do
  exec 3<>/dev/tcp/127.0.0.1/8501 &&
    printf 'GET /v1/models/%s HTTP/1.0\r\n\r\n' "$$model" >&3 &&
    grep -q '"state": *"AVAILABLE"' <&3 || exit 1
done
