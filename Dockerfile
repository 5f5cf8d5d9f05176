# The laptop profile in a container:
#   docker build -t delta .
#   docker run --rm -it --security-opt seccomp=unconfined delta
# The option lets the sandbox of generated programs create its user namespaces; a run that grades no
# programs needs none. Results stay with `-v delta-data:/home/delta/decomposing-the-delta/data`.
# libnuma1 is for vLLM.
FROM python:3.11-slim-bookworm
RUN apt-get update \
    && apt-get install -y --no-install-recommends git libnuma1 make \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home delta
USER delta
WORKDIR /home/delta/decomposing-the-delta
# The environment comes first, so that a change of the code does not reinstall it.
COPY --chown=delta Makefile pyproject.toml ./
COPY --chown=delta tools tools
COPY --chown=delta requirements requirements
RUN make setup && rm -rf ~/.cache
# Includes .git, which DVC requires.
COPY --chown=delta . .
CMD ["make", "repro"]
