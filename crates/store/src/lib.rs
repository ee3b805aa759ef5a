//! Content, images, overlay snapshots, tar diff and apply, archives.
