# CPU by default; for CUDA: --build-arg BASE=nvidia/cuda:12.8.1-runtime-ubuntu24.04
ARG BASE=ubuntu:24.04
FROM ${BASE}
RUN apt-get update && apt-get install --yes --no-install-recommends git libgl1 libglib2.0-0 python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /work
COPY . .
ENV PIP_BUILD_CONSTRAINT=/work/locks/build.txt PIP_NO_CACHE_DIR=1
RUN python3 -m venv /opt/venv && /opt/venv/bin/pip install --require-hashes --requirement locks/build.txt \
    && /opt/venv/bin/pip install --require-hashes --requirement locks/train.txt \
    && /opt/venv/bin/pip install --no-deps .
ENTRYPOINT ["/opt/venv/bin/zss-harness"]
