# The server of docs/serve.md:
#
#   docker build --tag crossframe .
#   docker run --publish 127.0.0.1:8000:8000 --env CROSSFRAME_TOKEN=... crossframe --model shapes
#
# On x86 the default torch brings gigabytes for GPUs; an index of CPU builds goes in as
# --build-arg PIP_EXTRA_INDEX_URL=...

FROM python:3.11-slim AS build
ARG PIP_EXTRA_INDEX_URL=
WORKDIR /source
COPY . .
RUN python -m venv /opt/crossframe
RUN /opt/crossframe/bin/python -m pip install --no-cache-dir --constraint constraints.txt '.[serve]'

FROM python:3.11-slim
RUN useradd --uid 10001 --create-home crossframe
COPY --from=build /opt/crossframe /opt/crossframe
ENV PATH=/opt/crossframe/bin:$PATH PYTHONUNBUFFERED=1 HF_HOME=/home/crossframe/models
USER crossframe
RUN mkdir -p /home/crossframe/models
WORKDIR /home/crossframe
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
# As the first process of a container it gets SIGTERM itself, and finishes what it took.
ENTRYPOINT ["crossframe", "serve", "--host", "0.0.0.0", "--port", "8000"]
CMD ["--model", "shapes"]
