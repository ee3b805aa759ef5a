ARG BASE
FROM ${BASE}
RUN mkdir -p /k && cd /k && mkfifo pipe && mknod dev c 1 3 && ln -s to link && echo x >f && ln f hard && chmod 6755 f && mkdir -m 1777 sticky && touch 'sp ace' && dd if=/dev/zero of=sparse bs=1 count=1 seek=100000 2>/dev/null
