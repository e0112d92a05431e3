//! Scripts that must be refused, by file and line.

use std::fs;
use std::time::{Duration, Instant};

use crate::cli::{Ran, lipcert, lipcert_in};
use crate::explore::explore;

/// Runs a script that must be refused and gives its error.
fn refused(text: &str) -> String {
    let start = Instant::now();
    let ran = explore(text, &["--trials", "600"]);
    let Ran { status, stderr, stdout } = ran;
    assert_eq!(status, Some(2), "{text}: {stdout}{stderr}");
    assert!(stdout.is_empty(), "{text}: {stdout}");
    assert!(start.elapsed() < Duration::from_secs(60), "{text}");
    stderr
}

/// Script, line of the error, a part of it.
fn table(rows: &[(&str, usize, &str)]) {
    for (text, line, part) in rows {
        let stderr = refused(text);
        assert!(stderr.contains(&format!("`idea.lua` line {line}: ")), "{text}: {stderr}");
        assert!(stderr.contains(part), "{text}: {stderr}");
    }
}

#[test]
fn endless_scripts_end() {
    table(&[
        ("local x = 1\nwhile true do\n  x = x + 1\nend", 3, "operations"),
        ("local function f(x)\n  return f(x)\nend\nreturn f(1)", 2, "operations"),
        ("while true do local a = abs(g) end", 1, "operations"),
        ("return sum(perron(outer(ones(1000), ones(1000))))", 1, "operations"),
        ("\nfor i = 1, 1e18 do end", 2, "operations"),
        (
            "local function f(x)\n  return 1 + f(x)\nend\nreturn f(1)",
            2,
            "stack overflow",
        ),
    ]);
}

#[test]
fn greedy_scripts_end() {
    table(&[
        ("return zeros(1e12)", 1, "memory"),
        ("return ones(1e15)", 1, "memory"),
        ("return outer(ones(1e6), ones(1e6))", 1, "memory"),
        (
            "local t = {}\nfor i = 1, 1e9 do\n  t[i] = ones(50000)\nend\nreturn t",
            3,
            "memory",
        ),
        ("local s = \"x\"\nfor i = 1, 100 do\n  s = s .. s\nend\nreturn 1", 3, "memory"),
        ("local t = {}\nfor i = 1, 1e9 do\n  t[i] = i\nend", 3, "MiB of memory"),
    ]);
}

#[test]
fn nothing_outside_is_reached() {
    table(&[
        ("return load(\"return 1\")()", 1, "load"),
        ("\nlocal x = require(\"os\")", 2, "require"),
        ("local f = io.open(\"/etc/passwd\")", 1, "io"),
        ("dofile(\"/etc/passwd\")", 1, "dofile"),
        ("return os.time()", 1, "os"),
        ("return math.random()", 1, "math"),
        ("return debug.getinfo(1)", 1, "debug"),
        ("return string.rep(\"x\", 10)", 1, "string"),
        ("return (\"x\"):rep(10)", 1, "index a string"),
        ("pcall(function() end)", 1, "pcall"),
        ("return setmetatable({}, {})", 1, "setmetatable"),
        ("return getmetatable(w)", 1, "getmetatable"),
        ("return collectgarbage(\"count\")", 1, "collectgarbage"),
        ("return coroutine.wrap(abs)", 1, "coroutine"),
        ("for k, v in pairs(_ENV) do end", 1, "pairs"),
    ]);
    let compiled = refused("\u{1b}Lua");
    assert!(compiled.contains("`idea.lua`") && compiled.contains("binary"), "{compiled}");
}

#[test]
fn nothing_is_remembered() {
    // A script that gives less at every call, if it could count them.
    table(&[(
        "\ncount = (count or 0) + 1\nreturn row_sums(abs(g)) / count",
        2,
        "local count",
    )]);
    let text = "local sums, gram, absolute, old = row_sums, g, abs, _ENV\n_ENV = { count = (old.count or 0) + 1 }\nreturn sums(absolute(gram)) / count";
    let first = explore(text, &["--trials", "600"]);
    // A name that is not there is nil at every call.
    assert_eq!(first.status, Some(0), "{first:?}");
    table(&[
        ("w[1] = 2\nreturn 1", 1, "do not change"),
        ("abs = sqrt\nreturn 1", 1, "assign"),
    ]);
}

#[test]
fn mistakes_are_named() {
    table(&[
        ("local x =\nreturn ) 1", 2, "unexpected symbol"),
        ("\n\nreturn g * nosuch", 3, "nil"),
        ("return matmul(g, ones(m + 1))", 1, "do not fit"),
        ("return abs()", 1, "takes 1 arguments, found 0"),
        ("return abs(\"x\")", 1, "string"),
        ("return ones(1.5)", 1, "whole number"),
        ("return ones(-1)", 1, "whole number"),
        ("return row_sums(q)", 1, "a matrix"),
        ("return cholesky(outer(ones(2), ones(3)))", 1, "square"),
        ("return q[m + 1]", 1, "outside"),
        ("return q[0]", 1, "outside"),
        ("return g + q", 1, "do not fit"),
        ("return g .. \"x\"", 1, "concatenate"),
        ("return vector{1, \"x\"}", 1, "list of numbers"),
        ("return matrix{{1, 2}, {3}}", 1, "equal length"),
        ("return matrix(3)", 1, "equal length"),
        ("error(\"no good\")", 1, "no good"),
    ]);
    for (text, part) in [
        ("return vector{1, 2, 3, 4, 5, 6, 7, 8, 9}", "a vector of 9"),
        ("return {1, 2, 3, 4, 5, 6, 7, 8, 9}", "a vector of 9"),
        ("return {1, {}}", "no list of numbers"),
        ("return outer(ones(m + 1), ones(m))", "matrix"),
        ("return matmul(diag(q), g)", "not symmetric"),
        ("local x = 1", "returned nil"),
        ("return \"a\"", "returned string"),
        ("return abs", "returned function"),
        ("", "returned nil"),
        (&format!("return {}1{}", "(".repeat(500), ")".repeat(500)), "overflow"),
    ] {
        let stderr = refused(text);
        assert!(stderr.contains("`idea.lua`") && stderr.contains(part), "{text}: {stderr}");
    }
}

#[test]
fn files_that_are_no_scripts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("bytes.lua"), [0xff, 0xfe, 0x00]).unwrap();
    fs::write(path.join("long.lua"), vec![b' '; (1 << 20) + 1]).unwrap();
    for (name, part) in [
        ("bytes.lua", "UTF-8"),
        ("long.lua", "at most"),
        (".", "regular"),
        ("nosuch", "aol"),
    ] {
        let ran = lipcert_in(path, ["explore", name]);
        assert_eq!(ran.status, Some(2), "{ran:?}");
        assert!(ran.stderr.contains(part), "{ran:?}");
    }
    for arguments in [
        vec!["explore", "aol", "--trials", "0"],
        vec!["explore", "aol", "--size", "0"],
        vec!["explore", "aol", "--side", "rows"],
        vec!["explore", "aol", "--weight", "nosuch.npy"],
    ] {
        assert_eq!(lipcert(arguments).status, Some(2));
    }
}
