# syntax=docker/dockerfile:1
# The image of every process: `docker run topup:0.1.0 worker|bridge|setup|doctor|orders …`. It holds no simulator;
# `--target simulators` is the outside world to try it with.
# Not built where this was written, for want of an engine: each RUN line was run there in a fresh virtual environment.
ARG PYTHON_IMAGE=python:3.13.5-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
RUN python -m venv /opt/build && python -m venv --without-pip /opt/topup
COPY deploy/requirements-build.lock deploy/requirements-run.lock ./deploy/
# Dependencies in a layer of their own: it changes with the lock alone.
RUN /opt/build/bin/pip install --require-hashes -r deploy/requirements-build.lock \
    && /opt/build/bin/pip --python /opt/topup/bin/python install --require-hashes --only-binary :all: -r deploy/requirements-run.lock
COPY . .
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /dist . \
    && /opt/build/bin/pip --python /opt/topup/bin/python install --no-deps /dist/topup-*.whl \
    && /opt/topup/bin/python -m compileall -q /opt/topup

FROM ${PYTHON_IMAGE} AS product
# A fixed number, so that files can be given to it; a volume mounted on /data begins with /data's owner.
RUN groupadd --system --gid 10001 topup \
    && useradd --system --uid 10001 --gid 10001 --no-create-home topup \
    && install --directory --owner 10001 --group 10001 /data
COPY --from=build /opt/topup /opt/topup
ENV PATH=/opt/topup/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /data
ENTRYPOINT ["topup"]
CMD ["--help"]

FROM product AS simulators
COPY simulators /opt/simulators/simulators
ENV PYTHONPATH=/opt/simulators
ENTRYPOINT ["python", "-m", "simulators"]

# The last one is what is built where no target is named.
FROM product
