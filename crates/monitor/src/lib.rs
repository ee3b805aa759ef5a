//! One process per container: stdio, logs, exec sessions, exit status; its wire protocol and client.
