# The laptop profile in a container:
#   docker build -t delta .
#   docker run --rm -it --security-opt seccomp=unconfined --security-opt systempaths=unconfined delta
# The options let the sandbox of generated programs create its user namespaces and mount its own /proc;
# where the host has AppArmor (Ubuntu), it also needs --security-opt apparmor=unconfined. A run that
# grades no programs needs none of them. Results stay with `-v delta:/home/delta`.
# On a GPU: `docker build --build-arg ACCELERATOR=gpu`, `docker run --gpus all` (docs/one-gpu.md).
# libnuma1 is for vLLM, the compiler for Triton, which compiles kernels while it runs.
FROM python:3.11-slim-bookworm
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc git libc6-dev libnuma1 make \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home delta
USER delta
WORKDIR /home/delta/decomposing-the-delta
# The environment comes first, so that a change of the code does not reinstall it.
COPY --chown=delta Makefile pyproject.toml ./
COPY --chown=delta tools tools
COPY --chown=delta requirements requirements
ARG ACCELERATOR=cpu
RUN make setup ACCELERATOR=$ACCELERATOR && rm -rf ~/.cache
# Includes .git, which DVC requires.
COPY --chown=delta . .
CMD ["make", "repro"]
