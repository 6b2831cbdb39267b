//! A configuration whose own code performs commands while its venv is made.

use std::fs;
use std::path::Path;

use super::behaviour::Stage;
use crate::support::tools;

/// Of one stage; the others do what they should.
pub fn write(folder: &Path, stage: Stage, script: &str) {
    copy(&tools::package("configuration"), folder);
    // A backend has no engine yet: it brings the commands with it.
    copy(&tools::package("hostile_engine").join("src"), folder);
    let of = |wanted: Stage| if stage == wanted { script } else { "" };
    let plain = fs::read_to_string(folder.join("backend.py")).expect("there is a backend");
    let backend = format!(
        "import os\nfrom ade_engine import script\nplace = os.getcwd()\nscript.perform({:?})\nos.chdir(place)\n{plain}",
        of(Stage::Backend)
    );
    fs::write(folder.join("backend.py"), backend).expect("a file");
    let package = format!(
        "import sys\nat_version = {:?}\nif sys.argv[0] == \"-c\":\n    from ade_engine import script\n    script.perform({:?})\n",
        of(Stage::Version),
        of(Stage::Import)
    );
    fs::write(folder.join("src/ade_config/__init__.py"), package).expect("a file");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a file");
        }
    }
}
