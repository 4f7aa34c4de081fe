# The agent with the providers that work from a pod. Build: docker build -t virtual-kubelet .
ARG BASE=python:3.13-slim
FROM ${BASE} AS build
COPY . /source
RUN python -m venv /opt/virtual-kubelet \
    && /opt/virtual-kubelet/bin/pip install --no-cache-dir --disable-pip-version-check "/source[azure,fast]" "kubernetes<36" \
    && /opt/virtual-kubelet/bin/pip uninstall --yes --quiet pip \
    # Where providers of your own are put; after everything of ours on the path.
    && echo /usr/local/lib/virtual-kubelet > "$(echo /opt/virtual-kubelet/lib/python3.*/site-packages)/providers.pth"

FROM ${BASE}
LABEL org.opencontainers.image.title="virtual-kubelet" \
      org.opencontainers.image.description="A Kubernetes node whose pods run wherever a provider can reach" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/virtual-kubelet /opt/virtual-kubelet
ENV PATH=/opt/virtual-kubelet/bin:$PATH PYTHONDONTWRITEBYTECODE=1 VKUBELET_STATE_DIR=/var/lib/virtual-kubelet
RUN install -d -o 65532 -g 65532 -m 700 /var/lib/virtual-kubelet
# A number, so that runAsNonRoot can be checked.
USER 65532:65532
EXPOSE 10250
ENTRYPOINT ["virtual-kubelet"]
