"""Every language that this machine has: right, wrong, refused, crashed, too long, too large; compiled once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from r1lab.errors import ConfigError
from r1lab.sandbox import languages
from r1lab.sandbox.base import Limits, Program, Test, Verdict
from r1lab.sandbox.job import Execution, Job
from r1lab.sandbox.languages import BY_NAME, LANGUAGES, available, find
from r1lab.sandbox.local import LocalSandbox

LIMITS = Limits(seconds=4.0, wall_seconds=15.0, memory=512 << 20)
NUMBERS = "3 4 5\n"


@dataclass(frozen=True)
class Sample:
    """Programs of one language: the sum of the numbers of one line, and four that fail.

    Args:
        right: prints the sum of the numbers on its one line of input.
        crash: ends with an error, and says "broken" where the language has words for it.
        loop: without end.
        hoard: takes memory until it is stopped.
        broken: what its compiler or interpreter does not take.
    """

    right: str
    crash: str
    loop: str
    hoard: str
    broken: str


SAMPLES = {
    "python": Sample(
        "print(sum(map(int, input().split())))",
        "raise ValueError('broken')",
        "while True: pass",
        "x = []\nwhile True: x.append(bytearray(1 << 20))",
        "print((",
    ),
    "c++": Sample(
        "#include <bits/stdc++.h>\n"
        "int main() { long s = 0, x; while (std::cin >> x) s += x; std::cout << s << std::endl; }",
        '#include <stdexcept>\nint main() { throw std::runtime_error("broken"); }',
        "int main() { for (volatile int i = 0;; ++i); }",
        "#include <vector>\n#include <string>\n"
        "int main() { std::vector<std::string> v; for (;;) v.emplace_back(1 << 20, 'x'); }",
        "int main() { return missing; }",
    ),
    "c": Sample(
        '#include <stdio.h>\nint main() { long s = 0, x; while (scanf("%ld", &x) == 1) s += x; printf("%ld\\n", s); }',
        '#include <assert.h>\nint main() { assert(!"broken"); }',
        "int main() { for (volatile int i = 0;; ++i); }",
        "#include <stdlib.h>\n#include <string.h>\nint main() { for (;;) memset(malloc(1 << 20), 1, 1 << 20); }",
        "int main() { return missing; }",
    ),
    "javascript": Sample(
        "const fs = require('fs');\n"
        "console.log(fs.readFileSync(0, 'utf8').trim().split(' ').map(Number).reduce((a, b) => a + b));",
        "throw new Error('broken');",
        "while (true) {}",
        "const x = []; while (true) x.push(Buffer.alloc(1 << 20, 1));",
        "console.log((",
    ),
    "bash": Sample(
        "read -a x; s=0; for n in ${x[@]}; do s=$((s + n)); done; echo $s",
        "echo broken >&2; exit 3",
        "while :; do :; done",
        'x=$(head -c 10000000 /dev/urandom | base64); while :; do x="$x$x"; done',
        "if [ 1; then fi )",
    ),
    "java": Sample(
        "import java.util.*;\npublic class Main { public static void main(String[] a) {\n"
        "Scanner s = new Scanner(System.in);\n"
        "long t = 0; while (s.hasNextLong()) t += s.nextLong(); System.out.println(t); } }",
        'class Main { public static void main(String[] a) { throw new RuntimeException("broken"); } }',
        "class Main { public static void main(String[] a) { while (true); } }",
        "import java.util.*;\nclass Main { public static void main(String[] a) {\n"
        "List<byte[]> x = new ArrayList<>(); while (true) x.add(new byte[1 << 20]); } }",
        "class Main { int x = missing; }",
    ),
    "perl": Sample(
        "my $s = 0; $s += $_ for split ' ', <STDIN>; print \"$s\\n\";",
        "die 'broken';",
        "while (1) {}",
        "my @x; push @x, 'x' x (1 << 20) . rand while 1;",
        "my $x = (;",
    ),
    "ruby": Sample(
        "puts gets.split.map(&:to_i).sum",
        "raise 'broken'",
        "loop {}",
        "x = []\nloop { x << 'x' * (1 << 20) }",
        "puts (",
    ),
    "php": Sample(
        "<?php echo array_sum(explode(' ', trim(fgets(STDIN)))), \"\\n\";",
        "<?php fwrite(STDERR, 'broken'); exit(3);",
        "<?php while (true);",
        "<?php ini_set('memory_limit', -1); $x = []; while (true) $x[] = random_bytes(1 << 20);",
        "<?php echo (",
    ),
    "lua": Sample(
        "local s = 0; for x in io.read('l'):gmatch('%d+') do s = s + tonumber(x) end; print(math.floor(s))",
        "error('broken')",
        "while true do end",
        "local x = {}; while true do x[#x + 1] = string.rep('x', 1 << 20) .. #x end",
        "print((",
    ),
    "rust": Sample(
        "use std::io::*;\nfn main() { let mut s = String::new(); stdin().read_to_string(&mut s).unwrap();\n"
        'println!("{}", s.split_whitespace().map(|x| x.parse::<i64>().unwrap()).sum::<i64>()); }',
        'fn main() { panic!("broken"); }',
        "fn main() { let mut x = 0u64; loop { x = std::hint::black_box(x + 1); } }",
        "fn main() { let mut x = vec![]; loop { x.push(vec![1u8; 1 << 20]); } }",
        "fn main() { missing }",
    ),
    "go": Sample(
        'package main\nimport "fmt"\nfunc main() { s := 0\n'
        "for { var x int; if _, e := fmt.Scan(&x); e != nil { break }; s += x }\nfmt.Println(s) }",
        'package main\nfunc main() { panic("broken") }',
        "package main\nfunc main() { for {} }",
        "package main\nfunc main() { x := [][]byte{}\n"
        "for { b := make([]byte, 1<<20); for i := range b { b[i] = 1 }; x = append(x, b) } }",
        "package main\nfunc main() { missing }",
    ),
}
HERE = [name for name in SAMPLES if available(BY_NAME[name])]
JAVA = "java"  # whose virtual machine holds its own heap, and says OutOfMemoryError before the limit is met


@pytest.fixture(scope="module")
def sandbox() -> Iterator[LocalSandbox]:
    made = LocalSandbox(workers=1)
    yield made
    made.close()


@pytest.mark.parametrize("name", HERE)
def test_right_and_wrong(sandbox: LocalSandbox, name: str) -> None:
    tests = [Test(NUMBERS, "12"), Test("1 1\n", "3"), Test("40 2\n", "42\n")]
    outcomes = sandbox.run(Program(name, SAMPLES[name].right), tests, LIMITS)
    assert [item.verdict for item in outcomes] == ["passed", "wrong", "passed"], outcomes
    assert [item.output for item in outcomes] == ["12\n", "2\n", "42\n"]


@pytest.mark.parametrize("name", HERE)
def test_failures(sandbox: LocalSandbox, name: str) -> None:
    sample, limits = SAMPLES[name], replace(LIMITS, seconds=1.0)
    (crash,) = sandbox.run(Program(name, sample.crash), [Test()], limits)
    assert crash.verdict is Verdict.CRASHED, crash
    assert "broken" in crash.detail
    (broken,) = sandbox.run(Program(name, sample.broken), [Test()], limits)
    assert broken.verdict is (Verdict.REFUSED if find(name).compile else Verdict.CRASHED), broken
    assert "missing" in broken.detail or not find(name).compile
    (loop,) = sandbox.run(Program(name, sample.loop), [Test()], replace(limits, seconds=0.4))
    assert (loop.verdict, loop.detail.splitlines()[0]) == (Verdict.TIMEOUT, "limit on time")
    (hoard,) = sandbox.run(Program(name, sample.hoard), [Test()], replace(limits, seconds=4.0))
    assert hoard.verdict is Verdict.MEMORY or (name == JAVA and "OutOfMemoryError" in hoard.detail), hoard


@pytest.mark.parametrize("name", [name for name in HERE if name in ("javascript", "java", "bash")])
def test_runtimes_with_threads_and_maps_of_their_own_are_held_by_a_watcher_too(name: str) -> None:
    sandbox, sample = LocalSandbox(workers=1, tree="watcher"), SAMPLES[name]
    (right,) = sandbox.run(Program(name, sample.right), [Test(NUMBERS, "12")], LIMITS)
    assert right.passed, right
    (hoard,) = sandbox.run(Program(name, sample.hoard), [Test()], LIMITS)
    assert hoard.verdict is Verdict.MEMORY or (name == JAVA and "OutOfMemoryError" in hoard.detail), hoard
    sandbox.close()


def test_the_samples_hold_every_language_that_is_here_but_standards() -> None:
    assert {item.name for item in LANGUAGES if available(item)} <= {*SAMPLES, "c++11", "c++14", "c++20", "r", "haskell"}


def test_standards_of_cpp(sandbox: LocalSandbox) -> None:
    source = "#include <iostream>\nint main() { std::cout << __cplusplus; }"
    told = {name: sandbox.run(Program(name, source), [Test()])[0].output for name in ("cpp11", "c++14", "cpp", "c++20")}
    assert told == {"cpp11": "201103", "c++14": "201402", "cpp": "201703", "c++20": told["c++20"]}
    assert int(told["c++20"]) > 201703


def test_stack_of_compiled_programs_is_as_large_as_their_memory(sandbox: LocalSandbox) -> None:
    source = (
        "#include <cstdio>\nlong f(long n) { volatile char a[100]; a[0] = n; return n ? f(n - 1) + a[0] % 2 : 0; }\n"
        'int main() { printf("%d", f(1000000) != 1); }'
    )
    assert sandbox.run(Program("c++", source), [Test("", "1")], LIMITS)[0].passed


def test_files_beside_a_compiled_program(sandbox: LocalSandbox) -> None:
    source = (
        '#include <cstdio>\n#include "near.h"\n'
        'int main(int n, char **a) { printf("%d %s", NEAR, a[1]); fopen("x", "r") || puts("?"); }'
    )
    program = Program("c++", source, {"near.h": "#define NEAR 7", "x": ""}, ["word"])
    assert sandbox.run(program, [Test("", "7 word")])[0].passed


class Counting(LocalSandbox):
    """Counts what runs in its boxes."""

    def __init__(self) -> None:
        super().__init__(workers=2)
        self.commands: list[str] = []

    def once(self, job: Job, limits: Limits) -> Execution:
        """See LocalSandbox.once."""
        self.commands.append(job.argv[0] if job.argv else "python")
        return super().once(job, limits)


def test_compiles_once_for_all_tests_and_once_for_the_same_source() -> None:
    sandbox, program = Counting(), Program("c", SAMPLES["c"].right)
    tests = [Test(NUMBERS, "12")] * 5
    assert all(item.passed for item in sandbox.run(program, tests))
    assert sandbox.commands == ["gcc", *["./program"] * 5]
    sandbox.run(program, tests)
    assert sandbox.commands.count("gcc") == 1
    sandbox.run(Program("c", SAMPLES["c"].right + "\n"), tests[:1])
    sandbox.run(Program("c", SAMPLES["c"].right, {"a.h": ""}), tests[:1])
    assert sandbox.commands.count("gcc") == 3
    sandbox.close()
    sandbox.run(program, tests[:1])
    assert sandbox.commands.count("gcc") == 3
    sandbox.close()


def test_what_the_compiler_refused_is_not_compiled_again_nor_run() -> None:
    sandbox, program = Counting(), Program("c++", "int main() { return missing; }")
    first = sandbox.run(program, [Test()] * 3)
    second = sandbox.run(program, [Test()], stop_at_failure=True)
    sandbox.close()
    assert [item.verdict for item in [*first, *second]] == [Verdict.REFUSED] * 4
    assert "error: ‘missing’ was not declared in this scope" in first[0].detail
    assert sandbox.commands == ["g++"]


def test_stops_at_the_first_failure() -> None:
    sandbox, program = Counting(), Program("c", SAMPLES["c"].right)
    outcomes = sandbox.run(program, [Test("1", "1"), Test("2", "1"), Test("3", "3")], stop_at_failure=True)
    sandbox.close()
    assert [item.verdict for item in outcomes] == ["passed", "wrong", "skipped"]
    assert sandbox.commands == ["gcc", "./program", "./program"]


def test_the_cache_of_programs_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("r1lab.sandbox.local.CACHE", 40_000)
    sandbox = Counting()
    sources = [f"int main() {{ return {number} * 0; }}" for number in range(4)]
    for source in (*sources, sources[-1], sources[0]):
        assert sandbox.run(Program("c", source), [Test()])[0].passed
    sandbox.close()
    assert sandbox.commands.count("gcc") == 5
    assert len(sandbox.cache) < 4


def test_a_compiler_that_makes_nothing_is_told() -> None:
    sandbox = LocalSandbox(workers=1)
    done = sandbox.compile(("true",), {"main.c": b""}, "program", Limits())
    sandbox.close()
    assert not done.well
    assert b"the compiler made no program" in done.stderr


def test_a_missing_compiler_is_a_config_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(languages.shutil, "which", lambda name, path=None: None)
    with pytest.raises(ConfigError, match=r"g\+\+(?s:.*)piston"):
        find("c++")


def test_every_name_leads_to_one_language() -> None:
    names = [name for item in LANGUAGES for name in (item.name, *item.aliases)]
    assert len(names) == len(set(names))
    assert find(" Cpp ").name == "c++"
