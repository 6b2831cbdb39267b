//! Which file of a module uses which other, and the circles among them.
//!
//! A re-export is no use: whoever goes through it uses the file behind it. The name of a module is none either, what is
//! reached through it is. Declaring a module (`mod x;`) does not use it.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::{Source, Written, resolve};

/// Of each file, what it uses, and by which path.
type Arrows = BTreeMap<String, BTreeMap<String, String>>;

/// The files of a crate, and what names lead from one to another.
struct Files<'a> {
    by_module: BTreeMap<&'a [String], String>,
    /// What a `use` in a module calls by a name.
    names: BTreeMap<(Vec<String>, String), Vec<String>>,
}

/// Where a path leads to.
enum Target<'a> {
    Module,
    ItemOf(&'a str),
}

impl Files<'_> {
    /// From the root of the crate; none if the path leads out of it, or begins with a name that is not a module.
    fn absolute(&self, path: &Written) -> Option<Vec<String>> {
        if let Some(absolute) = resolve(&path.parts, &path.module) {
            return Some(absolute);
        }
        let (first, rest) = path.parts.split_first()?;
        let child = [&path.module[..], std::slice::from_ref(first)].concat();
        let imported = || self.names.get(&(path.module.clone(), first.clone())).cloned();
        let beginning = if self.by_module.contains_key(&child[..]) { Some(child) } else { imported() };
        Some([beginning?, rest.to_vec()].concat())
    }

    /// The file in which the item is defined, through all re-exports.
    fn target(&self, mut path: Vec<String>) -> Option<Target<'_>> {
        // Re-exports of re-exports; a bound, since names may lead in a circle as well.
        for _ in 0..16 {
            let known = (0..=path.len()).rev().find(|size| self.by_module.contains_key(&path[..*size]))?;
            let Some(name) = path.get(known) else { return Some(Target::Module) };
            match self.names.get(&(path[..known].to_vec(), name.clone())) {
                Some(behind) => path = [&behind[..], &path[known + 1..]].concat(),
                None => return self.by_module.get(&path[..known]).map(|file| Target::ItemOf(file)),
            }
        }
        None
    }
}

impl Source {
    /// The sets of files that all reach each other, and the arrows inside each.
    pub fn circles(&self) -> Vec<(Vec<String>, Vec<String>)> {
        let arrows = self.arrows();
        let reached: BTreeMap<_, _> = arrows.keys().map(|from| (from.as_str(), reach(&arrows, from))).collect();
        let circle_of = |file: &&str| -> Vec<&str> {
            let others = reached[*file].iter().copied();
            others.filter(|other| reached.get(other).is_some_and(|reached| reached.contains(file))).collect()
        };
        let circles: BTreeSet<_> = reached.keys().map(circle_of).filter(|circle| circle.len() > 1).collect();
        circles.into_iter().map(|circle| (owned(&circle), inside(&arrows, &circle))).collect()
    }

    fn arrows(&self) -> Arrows {
        let path = |file: &crate::source::File| file.path.display().to_string();
        let by_module = self.0.iter().map(|file| (&file.module[..], path(file))).collect();
        let mut files = Files { by_module, names: BTreeMap::new() };
        let written: Vec<_> = self.0.iter().map(|file| (file, file.paths())).collect();
        for path in written.iter().flat_map(|(_, paths)| paths) {
            if let (Some(import), Some(absolute)) = (&path.import, files.absolute(path)) {
                files.names.insert((path.module.clone(), import.name.clone()), absolute);
            }
        }
        let mut arrows = Arrows::new();
        for (file, paths) in &written {
            let only_passed_on = |written: &Written| {
                written.import.as_ref().is_some_and(|import| import.exported && !file.mentions(&import.name))
            };
            for written in paths.iter().filter(|written| !only_passed_on(written)) {
                let target = files.absolute(written).and_then(|absolute| files.target(absolute));
                if let Some(Target::ItemOf(to)) = target
                    && to != path(file)
                {
                    let uses = arrows.entry(path(file)).or_default();
                    uses.entry(to.to_owned()).or_insert_with(|| written.parts.join("::"));
                }
            }
        }
        arrows
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| name.to_string()).collect()
}

/// The arrows between files of a circle, one in a line.
fn inside(arrows: &Arrows, circle: &[&str]) -> Vec<String> {
    let of = |from: &&str| {
        let uses = arrows[*from].iter().filter(|(to, _)| circle.contains(&to.as_str()));
        uses.map(|(to, path)| format!("{from} -> {to}: {path}")).collect::<Vec<_>>()
    };
    circle.iter().flat_map(of).collect()
}

/// Every file that `start` uses, and those that they use.
fn reach<'a>(arrows: &'a Arrows, start: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<_> = arrows.get(start).into_iter().collect();
    while let Some(uses) = open.pop() {
        open.extend(uses.keys().filter(|to| reached.insert(to.as_str())).filter_map(|to| arrows.get(to)));
    }
    reached
}
