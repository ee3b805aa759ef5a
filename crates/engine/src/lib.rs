//! Containers, exec, networks, volumes, images and events. Knows neither HTTP nor terminals.
