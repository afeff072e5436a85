# The inference server by itself: a fifth of the packages, no Prefect, no MLflow, no cloud SDK. From the checkout's root:
#   docker build -f deployments/serving.Dockerfile -t registry.example.org/everfresh-serving:0.1.0 .
# It serves what lies in /var/lib/everfresh, in the form in which a local target keeps it: `models/` and `serving.json`.
ARG PYTHON=python:3.11-slim-bookworm

FROM ${PYTHON} AS packages
COPY deployments/serving.lock /
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --quiet --no-cache-dir --no-deps --require-hashes -r /serving.lock

FROM ${PYTHON}
COPY --from=packages /opt/venv /opt/venv
WORKDIR /opt/everfresh
COPY everfresh/__init__.py everfresh/errors.py everfresh/
COPY everfresh/serving/ everfresh/serving/
COPY everfresh/packaging/ everfresh/packaging/
COPY everfresh/data/ everfresh/data/
COPY everfresh/spec/ everfresh/spec/
RUN /opt/venv/bin/python -m compileall -q everfresh

ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/opt/everfresh \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp
RUN groupadd --gid 10001 everfresh \
    && useradd --uid 10001 --gid everfresh --no-create-home --home-dir /var/lib/everfresh everfresh \
    && install --directory --owner everfresh --group everfresh /var/lib/everfresh
VOLUME ["/var/lib/everfresh", "/tmp"]
USER 10001:10001
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-S", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8080/v2/health/ready', timeout=2)"]
# It listens for other machines, so it starts only where it knows whom to let in: with keys in keys.json of its volume, with
# EVERFRESH_OIDC_ISSUER, or, behind what knows who asks, with --open. With TLS, ask for its health in another way.
# On SIGTERM it answers what it was asked, for 10 s at most, and writes its log: give it 30 s (docker run --stop-timeout 30).
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-m", "everfresh.serving"]
CMD ["--root", "/var/lib/everfresh", "--host", "0.0.0.0", "--port", "8080"]
