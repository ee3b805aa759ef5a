//! The list of repositories, as the reference registry has it.

use serde_json::json;

use crate::server::{Server, next, pages};

#[test]
fn repositories_are_listed_in_pages() {
    let server = Server::start(&[]);
    assert_eq!(server.get("/v2/_catalog").json(), json!({"repositories": []}));
    for name in ["b", "a/c", "a", "a-b"] {
        server.image(name, "v1", b"layer");
    }
    let pages = pages(&server, "/v2/_catalog?n=3", "repositories");
    assert_eq!(pages, [vec!["a", "a-b", "a/c"], vec!["b"]]);
    for n in ["-1", "x"] {
        server.get(&format!("/v2/_catalog?n={n}")).refused(400, "UNSUPPORTED");
    }
    let none = server.get("/v2/_catalog?n=0");
    assert_eq!((none.json(), next(&none)), (json!({"repositories": []}), None));
    let all = server.get("/v2/_catalog?n=1000000000");
    assert_eq!((all.json()["repositories"].as_array().unwrap().len(), next(&all)), (4, None));
}

#[test]
fn a_catalog_that_is_deep_and_wide() {
    let server = Server::start(&[]);
    let deep = ["d"; 128].join("/");
    assert_eq!(deep.len(), 255);
    server.image(&deep, "v1", b"layer");
    // As a hand that knows no rules would have left the folder: names that are none.
    let repositories = server.root.join("docker/registry/v2/repositories");
    for name in ["UPPER/x", "a b/x", ".hidden/x"] {
        std::fs::create_dir_all(repositories.join(name).join("_manifests")).unwrap();
    }
    for at in 0..1100 {
        std::fs::create_dir_all(repositories.join(format!("wide/{at:04}/_layers"))).unwrap();
    }
    let first = server.get("/v2/_catalog");
    let names = first.json()["repositories"].as_array().unwrap().clone();
    assert_eq!(names.len(), 1000, "no more than a page, however many there are");
    assert_eq!(names[0], deep.as_str());
    let rest = server.get(&next(&first).unwrap());
    assert_eq!((rest.json()["repositories"].as_array().unwrap().len(), next(&rest)), (101, None));
    let wide = pages(&server, "/v2/_catalog?n=1000000000&last=wide", "repositories").concat();
    assert_eq!((wide.len(), wide[1099].as_str()), (1100, "wide/1099"));
}
