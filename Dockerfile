# The poller itself.  Agents run in it as processes (`backend: process`), or in containers of the engine whose socket is
# mounted.  BASE: any Debian or Ubuntu with Python 3.11 or later.
ARG BASE=debian:bookworm-slim
FROM ${BASE}
ARG EXTRAS=claude,docker,metrics
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates git python3 python3-venv tini \
 && rm -rf /var/lib/apt/lists/*
COPY . /usr/src/bottlepost
RUN python3 -m venv /opt/bottlepost \
 && /opt/bottlepost/bin/pip install --no-cache-dir "/usr/src/bottlepost[${EXTRAS}]" \
 && useradd --uid 1000 --create-home --shell /usr/sbin/nologin bottlepost \
 && install -d -o 1000 -g 1000 -m 0700 /state
ENV PATH=/opt/bottlepost/bin:/usr/local/bin:/usr/bin:/bin BOTTLEPOST_CONFIG=/config.yaml
USER 1000
WORKDIR /home/bottlepost
VOLUME /state
HEALTHCHECK --interval=60s --timeout=30s --start-period=120s CMD ["poll", "status"]
# Somebody has to take in what agents leave behind.
ENTRYPOINT ["tini", "--", "poll"]
