//! Results that are not true, not small or not results, and outputs that lie elsewhere.

use super::behaviour::does;
use super::harness::{Harness, times};

#[test]
fn only_the_valid_parts_of_a_result_are_used() {
    let paths = |text: &str| format!(r#"result {{"status":"succeeded","output_paths":[{text}],"processed_files":[]}}"#);
    Harness::open(&[]).hear_all([
        does("says succeeded and fails", format!("{}\nleave 1", paths(""))).fails("engine_error"),
        does(
            "says failed and succeeds",
            r#"result {"status":"failed","error":{"code":"c","stage":"s","message":"m"}}"#,
        ),
        does("outputs outside", paths(r#""/etc/passwd","../../x","@file","output/../../x","/","","\u0000""#))
            .unserved("../../x"),
        does("outputs that are links", format!("put symlink {{output}}/x @file\n{}", paths(r#""output/x""#)))
            .unserved("x"),
        does(
            "outputs of wrong types",
            r#"result {"status":"succeeded","output_paths":{"a":[1]},"processed_files":[{},7,null]}"#,
        ),
        does(
            "all of wrong types",
            r#"result {"status":["succeeded"],"output_paths":7,"processed_files":"x","error":[]}"#,
        ),
        does("an error of wrong types", r#"result {"status":"failed","error":{"code":7,"stage":{},"message":[1]}}"#),
        does("an error that is long", format!("result_size {}", times(20, 500))),
        does("many outputs that are not there", format!("result_paths {}", times(50_000, 5_000_000))),
        does("a result of deep brackets", "flow stdout 1 {\"status\":"),
        does(
            "a code that is no code",
            r#"result {"status":"failed","error":{"code":"a b\u0000<>\n","message":"\u0000\u001b"}}"#,
        ),
        does("many results", format!("repeat stdout 2000 {}", r#"{"status":"succeeded","output_paths":[]}"#)),
        does("a result on stderr", r#"line stderr {"status":"failed"}"#),
        does("a result in the file", r#"line file {"status":"failed","output_paths":["x"]}"#),
    ]);
}

#[test]
fn outputs_that_move_while_they_are_read_never_show_files_of_others() {
    let mut harness = Harness::open(&[]);
    harness.hear_while(
        &does("outputs that are files and links in turns", "say ready\nswap {output}/moving @inner 4").succeeds(),
        &["moving", "moving.folder/inner", "moving.linked", "moving.aside/inner"],
    );
    harness.close();
}
