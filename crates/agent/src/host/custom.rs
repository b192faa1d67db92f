//! Custom inventory: JSON files that the administrator of the node puts into a folder.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use domain::model::problem::{Problem, ProblemCode};

/// Largest file.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// Most files.
const FILES_MAX: usize = 64;

/// Reads the folder: one value for each file, by the file's name without its ending.
pub fn read_custom(folder: &Path, problems: &mut Vec<Problem>) -> BTreeMap<String, serde_json::Value> {
    let mut found = BTreeMap::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return found };
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.extension().is_some_and(|ending| ending == "json")).collect();
    paths.sort();
    if paths.len() > FILES_MAX {
        let message = format!("{} files of custom inventory are more than {FILES_MAX}; the rest was left out", paths.len());
        problems.push(Problem::new(ProblemCode::LimitReached, folder.display().to_string(), message));
        paths.truncate(FILES_MAX);
    }
    for path in paths {
        let subject = path.display().to_string();
        match read_file(&path) {
            Ok(value) => drop(found.insert(path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), value)),
            Err((code, message)) => problems.push(Problem::new(code, &subject, format!("custom inventory {subject} was left out: {message}"))),
        }
    }
    found
}

fn read_file(path: &Path) -> Result<serde_json::Value, (ProblemCode, String)> {
    let unreadable = |error: std::io::Error| (ProblemCode::FileUnreadable, error.to_string());
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err((ProblemCode::LimitReached, format!("it is larger than {FILE_BYTES_MAX} bytes")));
    }
    serde_json::from_slice(&bytes).map_err(|error| (ProblemCode::Malformed, format!("it is not JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_become_values_and_mistakes_become_problems() {
        let folder = testkit::folder();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("rack.json", "{\"row\": 7}");
        write("broken.json", "{");
        write("huge.json", &format!("\"{}\"", "x".repeat(70_000)));
        write("notes.txt", "not read");
        let mut problems = Vec::new();
        let found = read_custom(folder.path(), &mut problems);
        assert_eq!(found, BTreeMap::from([("rack".to_owned(), serde_json::json!({"row": 7}))]));
        assert_eq!(problems.iter().map(|problem| problem.code).collect::<Vec<_>>(), [ProblemCode::Malformed, ProblemCode::LimitReached]);
        assert_eq!(read_custom(Path::new("/no/such/folder"), &mut problems), BTreeMap::new());
    }
}
