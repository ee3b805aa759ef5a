ARG BASE
FROM ${BASE} AS deps
WORKDIR /usr/src/app
COPY package*.json ./
RUN mkdir node_modules && echo dep >node_modules/dep
FROM deps AS build
COPY . .
RUN mkdir dist && cat app.py >dist/bundle.js
FROM ${BASE} AS production
ENV NODE_ENV=production
WORKDIR /usr/src/app
COPY --from=deps /usr/src/app/node_modules ./node_modules
COPY --from=build /usr/src/app/dist ./dist
COPY package.json .
USER 1000
EXPOSE 3000
CMD [ "node", "dist/bundle.js" ]
