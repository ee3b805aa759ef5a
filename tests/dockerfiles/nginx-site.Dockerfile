ARG BASE
FROM ${BASE}
LABEL maintainer="someone" org.opencontainers.image.title="site"
ENV NGINX_VERSION=1.27.0 PKG_RELEASE=1~bookworm
RUN set -x \
    && mkdir -p /etc/nginx/conf.d /var/log/nginx \
    && ln -sf /dev/stdout /var/log/nginx/access.log \
    && ln -sf /dev/stderr /var/log/nginx/error.log
COPY html /usr/share/nginx/html
COPY <<EOF /etc/nginx/conf.d/default.conf
server { listen 80; root /usr/share/nginx/html; }
EOF
COPY entrypoint.sh /docker-entrypoint.sh
ENTRYPOINT ["/docker-entrypoint.sh"]
EXPOSE 80
STOPSIGNAL SIGQUIT
CMD ["nginx", "-g", "daemon off;"]
