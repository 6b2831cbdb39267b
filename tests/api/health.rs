//! Health and the index.

use std::os::unix::fs::PermissionsExt;

use crate::support::TestApp;

#[test]
fn a_running_service_is_live_and_ready() {
    let app = TestApp::start();
    assert_eq!(app.get("/health/live").expect(200).json()["status"], "ok");
    let ready = app.get("/health/ready").expect(200).json();
    assert_eq!(ready["status"], "ok");
    for component in ready["components"].as_array().unwrap() {
        assert_eq!(component["status"], "ok", "{ready}");
    }
    let index = app.get("/").expect(200).json();
    assert_eq!((&index["service"], &index["api"]), (&"ade".into(), &"/api/v1".into()));
}

#[test]
fn a_missing_data_directory_makes_the_service_unready_but_live() {
    let app = TestApp::start();
    let venvs = app.data_dir().join("venvs");
    std::fs::remove_dir_all(&venvs).unwrap();
    std::fs::write(&venvs, "a file").unwrap();
    let ready = app.get("/health/ready").expect(503).json();
    assert_eq!(ready["status"], "unavailable");
    let component = |name: &str| {
        ready["components"].as_array().unwrap().iter().find(|part| part["name"] == name).unwrap()["status"].clone()
    };
    assert_eq!((component("venvs_dir"), component("database")), ("unavailable".into(), "ok".into()));
    app.get("/health/live").expect(200);
}

#[test]
fn a_venvs_directory_that_cannot_be_created_is_named_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let venvs = folder.path().join("file/venvs").display().to_string();
    let error = TestApp::refused(&[("ADE_VENVS_DIR", &venvs)]);
    assert!(error.contains("ADE_VENVS_DIR") && error.contains(&venvs), "{error}");
}

#[test]
fn a_non_loopback_address_is_refused() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let error = TestApp::refused(&[("ADE_BIND", address)]);
        assert!(error.contains("bind") && error.contains("loopback"), "{error}");
    }
}

#[test]
fn a_data_directory_has_one_service() {
    let app = TestApp::start();
    let error = app.start_beside().map(drop).unwrap_err();
    assert!(error.contains("in use"), "{error}");
    assert!(error.contains(&format!("http://{}", app.address)), "{error}");
    app.get("/health/live").expect(200);
    let app = app.restart();
    app.get("/health/ready").expect(200);
}

#[test]
fn health_is_told_below_the_interface_too() {
    let app = TestApp::start();
    let health = app.get("/api/v1/health").expect(200).json();
    assert_eq!(health["status"], "ok");
    assert!(health["timestamp"].as_str().unwrap().ends_with('Z'));
    let components = health["components"].as_array().unwrap();
    assert!(components.len() > 3 && components.iter().all(|component| component["status"] == "available"), "{health}");
}
