//! Writing files: all or nothing, and never over an existing one unless told so.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use tempfile::{Builder, NamedTempFile};

/// A file that will be written. Making one already proves that the folder is there and can be written to.
#[derive(Debug)]
pub(crate) struct Target {
    path: PathBuf,
    draft: NamedTempFile,
    force: bool,
}

impl Target {
    /// Sets a file aside before the work starts.
    ///
    /// # Errors
    ///
    /// If the file exists and `force` is not set, if it is a folder or a device, or if its folder cannot be written to.
    pub(crate) fn reserve(path: &Path, force: bool) -> anyhow::Result<Self> {
        let shown = path.display();
        if path.symlink_metadata().is_ok() {
            let metadata = path.metadata().with_context(|| format!("cannot write `{shown}`"))?;
            if !metadata.is_file() {
                bail!("cannot write `{shown}`: it is not a regular file");
            }
            if !force {
                bail!("cannot write `{shown}`: it exists (overwrite it with --force)");
            }
        }
        // Through a link, the file that it names is replaced and not the link.
        let path = place(path);
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        if path.file_name().is_none() {
            bail!("cannot write `{shown}`: it names no file");
        }
        let mut builder = Builder::new();
        builder.prefix(".lipcert-");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // As for any new file, less what the umask takes away.
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        let draft = builder
            .tempfile_in(folder)
            .with_context(|| format!("cannot write `{shown}`"))?;
        Ok(Self { path, draft, force })
    }

    /// Writes the file, all or nothing.
    ///
    /// # Errors
    ///
    /// If the bytes cannot be written, or if the file came into being in the meantime and may not be overwritten.
    pub(crate) fn write(mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let shown = self.path.display().to_string();
        let context = || format!("cannot write `{shown}`");
        self.draft.write_all(bytes).with_context(context)?;
        self.draft.as_file().sync_all().with_context(context)?;
        let written = if self.force {
            self.draft.persist(&self.path)
        } else {
            self.draft.persist_noclobber(&self.path)
        };
        written.map(drop).map_err(|error| error.error).with_context(context)
    }
}

/// Refuses an output that is one of the inputs, also through a link: `--force` overwrites results, not what they were made from.
///
/// # Errors
///
/// If it is.
pub(crate) fn refuse_input<'p>(output: &Path, inputs: impl IntoIterator<Item = &'p Path>) -> anyhow::Result<()> {
    let Ok(place) = output.canonicalize() else {
        return Ok(());
    };
    for input in inputs {
        if input.canonicalize().is_ok_and(|input| input == place) {
            bail!("`{}` is an input, so it is not written", output.display());
        }
    }
    Ok(())
}

/// Sets several files aside; two names of the same file are refused.
pub(crate) fn reserve_all(paths: &[&Path], force: bool) -> anyhow::Result<Vec<Target>> {
    let places: Vec<PathBuf> = paths.iter().map(|path| place(path)).collect();
    for (i, path) in paths.iter().enumerate() {
        if places[..i].contains(&places[i]) {
            bail!("cannot write `{}` twice", path.display());
        }
    }
    paths.iter().map(|path| Target::reserve(path, force)).collect()
}

/// Where a file lies or will lie, free of links: that of the file itself, else that of its folder and the name in it. As it was typed where there is no
/// such folder.
fn place(path: &Path) -> PathBuf {
    let in_folder = || {
        let folder = match path.parent()? {
            folder if folder == Path::new("") => Path::new("."),
            folder => folder,
        };
        Some(folder.canonicalize().ok()?.join(path.file_name()?))
    };
    path.canonicalize().ok().or_else(in_folder).unwrap_or_else(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_existing_file_stays_unless_forced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.json");
        Target::reserve(&path, false).unwrap().write(b"first").unwrap();
        let error = Target::reserve(&path, false).unwrap_err();
        assert!(error.to_string().contains("--force"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"first");
        Target::reserve(&path, true).unwrap().write(b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
    }

    #[test]
    fn an_input_is_no_output() {
        let folder = tempfile::tempdir().unwrap();
        let (input, other) = (folder.path().join("in"), folder.path().join("out"));
        fs::write(&input, b"in").unwrap();
        assert!(refuse_input(&folder.path().join("./in"), [input.as_path()]).is_err());
        assert!(refuse_input(&other, [input.as_path()]).is_ok());
    }

    #[test]
    fn a_file_that_came_in_between_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.json");
        let target = Target::reserve(&path, false).unwrap();
        fs::write(&path, b"theirs").unwrap();
        assert!(target.write(b"ours").is_err());
        assert_eq!(fs::read(&path).unwrap(), b"theirs");
    }

    #[test]
    fn nothing_is_left_behind_without_a_write() {
        let folder = tempfile::tempdir().unwrap();
        drop(Target::reserve(&folder.path().join("out.json"), false).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn folders_and_missing_folders_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Target::reserve(folder.path(), true).is_err());
        assert!(Target::reserve(&folder.path().join("no/such/file"), true).is_err());
        let path = folder.path().join("a");
        assert!(reserve_all(&[&path, &path], false).is_err());
    }

    /// Whether they exist or not, and whichever way leads to them.
    #[test]
    fn no_file_is_written_twice() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("a.json"), folder.path().join("b.json"));
        fs::create_dir(folder.path().join("in")).unwrap();
        for _ in 0..2 {
            for again in ["./a.json", "in/../a.json"] {
                let error = reserve_all(&[&path, &folder.path().join(again)], true).unwrap_err();
                assert!(error.to_string().contains("twice"), "{error}");
            }
            assert!(reserve_all(&[&path, &other], true).is_ok());
            fs::write(&path, b"old").unwrap();
        }
    }

    #[cfg(unix)]
    #[test]
    fn no_file_is_written_twice_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("a.json"), folder.path().join("link"));
        fs::write(&path, b"old").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(reserve_all(&[&path, &link], true).is_err());
        std::os::unix::fs::symlink(folder.path(), folder.path().join("here")).unwrap();
        let (new, same) = (folder.path().join("new"), folder.path().join("here/new"));
        assert!(reserve_all(&[&new, &same], true).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn devices_stay_and_links_are_followed() {
        let folder = tempfile::tempdir().unwrap();
        let error = Target::reserve(Path::new("/dev/null"), true).unwrap_err();
        assert!(error.to_string().contains("regular"), "{error}");
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, b"old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(Target::reserve(&link, false).is_err());
        Target::reserve(&link, true).unwrap().write(b"new").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert!(link.symlink_metadata().unwrap().is_symlink());
    }
}
