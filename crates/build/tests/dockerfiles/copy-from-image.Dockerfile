ARG BASE
FROM ${BASE}
COPY --from=busybox:1.36 /bin/busybox /bb
COPY --from=docker.io/library/alpine@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 /etc/os-release /etc/
