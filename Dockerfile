# The image of training jobs: Python with tfd2l and its locked packages.
#
#     docker build --tag tfd2l:latest .

FROM python:3.13-slim

WORKDIR /opt/tfd2l
# The packages first: they change less often than the code.
COPY requirements.txt ./
RUN pip install --no-cache-dir --require-hashes --requirement requirements.txt
COPY LICENSE README.md pyproject.toml ./
COPY pipelines pipelines
COPY tfd2l tfd2l
RUN pip install --no-cache-dir --no-deps .

# Nobody in particular: the job's files name the owner of the volume.
USER 1000:1000
WORKDIR /training
CMD ["python", "-m", "tfd2l.train", "--help"]
