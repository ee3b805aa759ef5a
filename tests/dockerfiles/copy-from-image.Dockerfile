ARG BASE
FROM scratch
COPY --from=wharf-differential-base /etc/passwd /passwd
