//! What an engine starts and hides does not outlive its run: not the end, a cancel, a timeout, nor the service.

use serde_json::{Value, json};

use crate::support::log::Log;
use crate::support::server::{Server, without_isolation};
use crate::support::work::{Place, Run};
use crate::support::{eventually, process};

struct Ground {
    folder: tempfile::TempDir,
    server: Server,
    place: Place,
}

fn ground(more: &[(&'static str, &str)]) -> Ground {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = without_isolation();
    settings.extend(more.iter().map(|&(name, value)| (name, value.to_owned())));
    let server = Server::start_with(folder.path(), &settings);
    let place = Place::make(&server);
    place.warm_up(&server);
    Ground { folder, server, place }
}

/// Seconds to sleep that name one process of this test.
fn seconds(of: u32) -> String {
    format!("1{:08}", std::process::id() * 10 + of)
}

/// The run has ended so, and nothing of it is left.
fn assert_over(ground: &Ground, run: &Run, hidden: &str, status: &str, code: &Value) {
    let row = run.ended(&ground.server);
    assert!(!process::sleeps(hidden), "the hidden process is there when the end is told");
    assert_eq!((&row["status"], &row["failure_code"]), (&json!(status), code), "{row}");
    let left = process::of_run(&run.id);
    assert!(left.is_empty(), "{}", process::describe(&left));
    Log::read(ground.folder.path(), &row).assert_ended();
}

#[test]
fn a_detached_process_does_not_outlive_the_end_a_cancel_or_a_timeout() {
    let ground = ground(&[("ADE_RUN_IDLE_TIMEOUT", "10s")]);
    let Ground { server, place, .. } = &ground;

    let hidden = seconds(1);
    let ended = place.run(server, &format!("escape {hidden}\nprint done"));
    assert_over(&ground, &ended, &hidden, "succeeded", &Value::Null);

    let hidden = seconds(2);
    let cancelled = place.run(server, &format!("escape {hidden}\nprint ready\nsleep 1000"));
    cancelled.await_line(server, "ready");
    assert!(process::sleeps(&hidden));
    assert_eq!(cancelled.cancel(server), 202);
    assert_over(&ground, &cancelled, &hidden, "cancelled", &json!("run_cancelled"));

    let hidden = seconds(3);
    let silent = place.run(server, &format!("escape {hidden}\nprint ready\nsleep 1000"));
    assert_over(&ground, &silent, &hidden, "failed", &json!("idle_timeout"));
    ground.server.stop();
}

#[test]
fn an_engine_that_attacks_its_launcher_gains_nothing() {
    let ground = ground(&[]);
    let Ground { server, place, .. } = &ground;

    let hidden = seconds(4);
    let asked = place.run(server, &format!("escape {hidden}\nparent 15\nparent 2\nparent 1\nprint done"));
    assert_over(&ground, &asked, &hidden, "succeeded", &Value::Null);

    let hidden = seconds(5);
    let stopped = place.run(server, &format!("escape {hidden}\nparent 19\nexit 3"));
    assert_over(&ground, &stopped, &hidden, "failed", &json!("engine_error"));
    assert_eq!(stopped.show(server)["exit_code"], 3);

    // Others are at work meanwhile, and are not taken for what the killed launcher has left.
    let (hidden, of_other) = (seconds(6), seconds(7));
    let other = place.run(server, &format!("escape {of_other}\nprint ready\nsleep 1000"));
    other.await_line(server, "ready");
    let killed = place.run(server, &format!("ignore\nescape {hidden}\nchild\ndaemon\nparent 9\nsleep 1000"));
    assert_over(&ground, &killed, &hidden, "failed", &json!("engine_error"));
    assert_eq!(other.show(server)["status"], "running");
    assert!(process::sleeps(&of_other));
    assert_eq!(other.cancel(server), 202);
    assert_over(&ground, &other, &of_other, "cancelled", &json!("run_cancelled"));
    assert_eq!(unburied(server.pid()), [""; 0]);
    ground.server.stop();
}

/// The children of a process that are dead and not reaped.
fn unburied(pid: u32) -> Vec<String> {
    let listed = std::process::Command::new("ps").args(["-o", "stat=,args=", "--ppid", &pid.to_string()]).output();
    let listed = String::from_utf8(listed.unwrap().stdout).unwrap();
    listed.lines().filter(|line| line.starts_with('Z')).map(str::to_owned).collect()
}

#[test]
fn a_detached_process_does_not_outlive_the_service() {
    let ground = ground(&[]);
    let Ground { folder, server, place } = ground;
    let (first, second) = (seconds(8), seconds(9));
    let run = place.run(&server, &format!("escape {first}\nprint ready\nsleep 1000"));
    run.await_line(&server, "ready");
    let other = place.run(&server, &format!("escape {second}\nparent 19\nprint ready\nsleep 1000"));
    other.await_line(&server, "ready");
    server.kill();
    eventually("the launcher sees that the service is gone", || (!process::sleeps(&first)).then_some(()));
    assert!(process::sleeps(&second), "its launcher is stopped");
    let server = Server::start(folder.path());
    // Recovery comes before the service listens.
    assert!(!process::sleeps(&second));
    for run in [&run, &other] {
        let row = run.show(&server);
        assert_eq!((&row["status"], &row["failure_code"]), (&json!("failed"), &json!("interrupted")), "{row}");
        assert!(process::of_run(&run.id).is_empty());
    }
    server.stop();
}
