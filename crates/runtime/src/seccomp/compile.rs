//! The compiler: per architecture, all system call numbers are cut into intervals of equal outcome, and a binary search tree
//! of comparisons finds the interval. A call whose outcome depends on arguments is an interval of its own, whose leaf is the
//! code of its rules.
//!
//! The kernel runs the filter for every number at load time to learn which are always allowed, so short paths matter twice.

use std::collections::BTreeMap;

use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompFilterFlag, LinuxSeccompOperator,
    LinuxSyscall,
};
use wharf_sys::seccomp::{self as sys, Instruction};

use super::BpfProgram;
use super::syscalls::SYSCALLS;
use crate::error::{Error, Result};

const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER: u16 = 0x25;
const JUMP_GREATER_EQUAL: u16 = 0x35;
const RETURN: u16 = 0x06;

/// Offsets in `struct seccomp_data`.
const OFFSET_NUMBER: u32 = 0;
const OFFSET_ARCH: u32 = 4;
const OFFSET_ARGS: u32 = 16;

/// The bit that marks x32 calls, which share the architecture value of x86_64.
const X32_BIT: u32 = 0x4000_0000;
/// Calls of an architecture that the filter does not list.
const BAD_ARCH: u32 = 0;
const ENOSYS: u32 = 0x0005_0000 | libc::ENOSYS as u32;

/// A column of the table of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Abi {
    X86_64,
    X86,
    X32,
    Aarch64,
}

impl Abi {
    fn of(arch: Arch) -> Option<Self> {
        match arch {
            Arch::ScmpArchNative => Some(Self::NATIVE),
            Arch::ScmpArchX86_64 => Some(Self::X86_64),
            Arch::ScmpArchX86 => Some(Self::X86),
            Arch::ScmpArchX32 => Some(Self::X32),
            Arch::ScmpArchAarch64 => Some(Self::Aarch64),
            // No process of another family can run here.
            _ => None,
        }
    }

    #[cfg(target_arch = "x86_64")]
    const NATIVE: Self = Self::X86_64;
    #[cfg(target_arch = "aarch64")]
    const NATIVE: Self = Self::Aarch64;

    /// The number of a call by name.
    fn number(self, name: &str) -> Option<u32> {
        let at = SYSCALLS.binary_search_by_key(&name, |(name, _)| name).ok()?;
        let number = u32::try_from(SYSCALLS[at].1[self as usize]).ok()?;
        Some(if self == Self::X32 { number | X32_BIT } else { number })
    }

    /// The kernel's value for the architecture (linux/audit.h).
    fn audit(self) -> u32 {
        match self {
            Self::X86_64 | Self::X32 => 0xc000_003e,
            Self::X86 => 0x4000_0003,
            Self::Aarch64 => 0xc000_00b7,
        }
    }
}

/// What happens to one call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Outcome<'a> {
    /// Tried in order: conditions that must all hold, and the action.
    conditional: Vec<(Vec<&'a LinuxSeccompArg>, u32)>,
    /// When none holds; `None` is the filter's default.
    otherwise: Option<u32>,
}

/// Compiles a specification's filter. Names unknown on an architecture are skipped, as a kernel that lacks a call needs no
/// rule for it. Calls newer than every one the filter knows fail with `ENOSYS` instead of a refusing default, so that
/// programs fall back to older calls.
pub fn compile(filter: &LinuxSeccomp) -> Result<BpfProgram> {
    let default = action(filter.default_action(), filter.default_errno_ret());
    let mut abis = vec![Abi::NATIVE];
    for abi in filter.architectures().iter().flatten().filter_map(|arch| Abi::of(*arch)) {
        if !abis.contains(&abi) {
            abis.push(abi);
        }
    }
    let mut code = vec![statement(LOAD, OFFSET_ARCH)];
    for abi in abis.iter().filter(|abi| **abi != Abi::X32) {
        let mut body = vec![statement(LOAD, OFFSET_NUMBER)];
        let tree = abi_tree(*abi, filter, default)?;
        if *abi == Abi::X86_64 {
            let x32 = if abis.contains(&Abi::X32) {
                abi_tree(Abi::X32, filter, default)?
            } else {
                vec![statement(RETURN, BAD_ARCH)]
            };
            body.extend(branch(JUMP_GREATER_EQUAL, X32_BIT, x32, tree));
        } else {
            body.extend(tree);
        }
        code.extend(skip_unless_equal(abi.audit(), body.len()));
        code.extend(body);
    }
    code.push(statement(RETURN, BAD_ARCH));
    if code.len() > 4096 {
        return Err(Error::config(format!("seccomp filter is too long: {} instructions", code.len())));
    }
    Ok(BpfProgram { instructions: code, flags: flags(filter) })
}

fn action(action: LinuxSeccompAction, errno: Option<u32>) -> u32 {
    action.as_u32(errno.map(|errno| errno & 0xffff))
}

fn flags(filter: &LinuxSeccomp) -> u32 {
    let notify = LinuxSeccompAction::ScmpActNotify;
    let notifies = filter.syscalls().iter().flatten().any(|rule| rule.action() == notify);
    let base = if notifies || filter.default_action() == notify { sys::FLAG_NEW_LISTENER } else { 0 };
    let Some(list) = filter.flags() else {
        // What a process may speculate about is its own business, and the mitigation is slow.
        return base | sys::FLAG_SPEC_ALLOW;
    };
    list.iter().fold(base, |bits, flag| {
        bits | match flag {
            LinuxSeccompFilterFlag::SeccompFilterFlagLog => sys::FLAG_LOG,
            LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => sys::FLAG_SPEC_ALLOW,
            LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv => sys::FLAG_WAIT_KILLABLE_RECV,
            // One thread needs no synchronising.
            LinuxSeccompFilterFlag::SeccompFilterFlagTsync => 0,
        }
    })
}

/// The outcome of every call an architecture's rules name.
fn outcomes(abi: Abi, filter: &LinuxSeccomp) -> Result<BTreeMap<u32, Outcome<'_>>> {
    let mut outcomes: BTreeMap<u32, Outcome<'_>> = BTreeMap::new();
    for rule in filter.syscalls().iter().flatten() {
        for number in rule.names().iter().filter_map(|name| abi.number(name)) {
            add_rule(outcomes.entry(number).or_default(), rule)?;
        }
    }
    Ok(outcomes)
}

fn add_rule<'a>(outcome: &mut Outcome<'a>, rule: &'a LinuxSyscall) -> Result<()> {
    let result = action(rule.action(), rule.errno_ret());
    let args = rule.args().as_deref().unwrap_or_default();
    if args.iter().any(|arg| arg.index() > 5) {
        return Err(Error::config("seccomp: argument index must be between 0 and 5"));
    }
    if args.is_empty() {
        outcome.otherwise.get_or_insert(result);
        return Ok(());
    }
    let indices: std::collections::HashSet<usize> = args.iter().map(LinuxSeccompArg::index).collect();
    if indices.len() < args.len() {
        // compat: several conditions on one argument are alternatives.
        outcome.conditional.extend(args.iter().map(|arg| (vec![arg], result)));
    } else {
        outcome.conditional.push((args.iter().collect(), result));
    }
    Ok(())
}

/// Where an interval begins, and its code.
type Interval = (u32, Vec<Instruction>);

fn abi_tree(abi: Abi, filter: &LinuxSeccomp, default: u32) -> Result<Vec<Instruction>> {
    let outcomes = outcomes(abi, filter)?;
    let first = if abi == Abi::X32 { X32_BIT } else { 0 };
    let mut intervals: Vec<Interval> = Vec::new();
    let mut push = |start: u32, code: Vec<Instruction>| {
        if intervals.last().is_none_or(|(_, last)| *last != code) {
            intervals.push((start, code));
        }
    };
    let refuse = vec![statement(RETURN, default)];
    let mut next = first;
    for (number, outcome) in &outcomes {
        if *number > next {
            push(next, refuse.clone());
        }
        push(*number, leaf(outcome, default));
        next = number + 1;
    }
    let permissive = matches!(
        filter.default_action(),
        LinuxSeccompAction::ScmpActAllow | LinuxSeccompAction::ScmpActLog | LinuxSeccompAction::ScmpActTrace
    );
    push(next, if permissive || outcomes.is_empty() { refuse } else { vec![statement(RETURN, ENOSYS)] });
    Ok(tree(&intervals))
}

/// A binary search over the interval starts.
fn tree(intervals: &[Interval]) -> Vec<Instruction> {
    match intervals {
        [] => Vec::new(),
        [(_, code)] => code.clone(),
        _ => {
            let (low, high) = intervals.split_at(intervals.len() / 2);
            branch(JUMP_GREATER_EQUAL, high[0].0, tree(high), tree(low))
        }
    }
}

/// `if A <compare> k { yes } else { no }`, where both parts end in a return.
fn branch(compare: u16, k: u32, yes: Vec<Instruction>, no: Vec<Instruction>) -> Vec<Instruction> {
    let mut code = match u8::try_from(no.len()) {
        Ok(skip) => vec![Instruction { code: compare, jt: skip, jf: 0, k }],
        // Conditional jumps reach 255 instructions only.
        Err(_) => vec![Instruction { code: compare, jt: 0, jf: 1, k }, statement(JUMP, no.len() as u32)],
    };
    code.extend(no);
    code.extend(yes);
    code
}

/// Runs the next `length` instructions only when A equals `k`.
fn skip_unless_equal(k: u32, length: usize) -> [Instruction; 2] {
    [Instruction { code: JUMP_EQUAL, jt: 1, jf: 0, k }, statement(JUMP, length as u32)]
}

fn statement(code: u16, k: u32) -> Instruction {
    Instruction { code, jt: 0, jf: 0, k }
}

/// The code for one call's outcome.
fn leaf(outcome: &Outcome<'_>, default: u32) -> Vec<Instruction> {
    let otherwise = outcome.otherwise.unwrap_or(default);
    let mut code = Vec::new();
    if outcome.conditional.iter().any(|(_, result)| *result != otherwise) {
        for (conditions, result) in &outcome.conditional {
            code.extend(rule(conditions, *result));
        }
    }
    code.push(statement(RETURN, otherwise));
    code
}

/// Where a comparison goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    /// The next instruction.
    Next,
    /// The condition holds.
    Holds,
    /// The rule does not apply.
    Fails,
}

/// The code of one rule: returns `result` when all conditions hold, falls through otherwise.
fn rule(conditions: &[&LinuxSeccompArg], result: u32) -> Vec<Instruction> {
    let mut code: Vec<(Instruction, Target, Target, usize)> = Vec::new();
    for condition in conditions {
        let part = compare(condition);
        let end = code.len() + part.len();
        code.extend(part.into_iter().map(|(instruction, yes, no)| (instruction, yes, no, end)));
    }
    let fail = code.len() + 1;
    let mut result_code = Vec::with_capacity(fail);
    for (at, (mut instruction, yes, no, end)) in code.into_iter().enumerate() {
        let offset = |target| match target {
            Target::Next => 0,
            Target::Holds => end - at - 1,
            Target::Fails => fail - at - 1,
        } as u8;
        if instruction.code & 7 == JUMP {
            (instruction.jt, instruction.jf) = (offset(yes), offset(no));
        }
        result_code.push(instruction);
    }
    result_code.push(statement(RETURN, result));
    result_code
}

/// A 64-bit comparison as comparisons of both halves.
fn compare(condition: &LinuxSeccompArg) -> Vec<(Instruction, Target, Target)> {
    use Target::{Fails, Holds, Next};
    let offset = OFFSET_ARGS + 8 * condition.index() as u32;
    // Both supported families are little-endian.
    let load = |half: u32| (statement(LOAD, offset + 4 * half), Next, Next);
    let jump = |code: u16, k: u32, yes, no| (statement(code, k), yes, no);
    let halves = |value: u64| ((value >> 32) as u32, value as u32);
    let (high, low) = halves(condition.value());
    match condition.op() {
        LinuxSeccompOperator::ScmpCmpEq => {
            vec![load(1), jump(JUMP_EQUAL, high, Next, Fails), load(0), jump(JUMP_EQUAL, low, Holds, Fails)]
        }
        LinuxSeccompOperator::ScmpCmpNe => {
            vec![load(1), jump(JUMP_EQUAL, high, Next, Holds), load(0), jump(JUMP_EQUAL, low, Fails, Holds)]
        }
        LinuxSeccompOperator::ScmpCmpGt => {
            ordered(load, high, (Holds, Fails), jump(JUMP_GREATER, low, Holds, Fails))
        }
        LinuxSeccompOperator::ScmpCmpGe => {
            ordered(load, high, (Holds, Fails), jump(JUMP_GREATER_EQUAL, low, Holds, Fails))
        }
        LinuxSeccompOperator::ScmpCmpLt => {
            ordered(load, high, (Fails, Holds), jump(JUMP_GREATER_EQUAL, low, Fails, Holds))
        }
        LinuxSeccompOperator::ScmpCmpLe => {
            ordered(load, high, (Fails, Holds), jump(JUMP_GREATER, low, Fails, Holds))
        }
        LinuxSeccompOperator::ScmpCmpMaskedEq => {
            let (want_high, want_low) = halves(condition.value_two().unwrap_or(0));
            let mut code = Vec::new();
            if high != 0 || want_high != 0 {
                code.extend([load(1), jump(AND, high, Next, Next), jump(JUMP_EQUAL, want_high, Next, Fails)]);
            }
            code.extend([load(0), jump(AND, low, Next, Next), jump(JUMP_EQUAL, want_low, Holds, Fails)]);
            code
        }
    }
}

/// The high half decides unless it is equal.
fn ordered(
    load: impl Fn(u32) -> (Instruction, Target, Target),
    high: u32,
    (greater, less): (Target, Target),
    last: (Instruction, Target, Target),
) -> Vec<(Instruction, Target, Target)> {
    vec![
        load(1),
        (statement(JUMP_GREATER, high), greater, Target::Next),
        (statement(JUMP_EQUAL, high), Target::Next, less),
        load(0),
        last,
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use expect_test::expect;
    use proptest::prelude::*;

    use super::*;
    use crate::seccomp::{Profile, default_seccomp};

    const ALLOW: u32 = 0x7fff_0000;
    const EPERM: u32 = 0x0005_0001;

    /// What the kernel would answer; checks on the way what its verifier checks.
    fn run(code: &[Instruction], arch: u32, number: u32, args: [u64; 6]) -> u32 {
        let mut at = 0;
        let mut a = 0u32;
        loop {
            let i = code[at];
            at += 1;
            match i.code {
                LOAD => {
                    a = match i.k {
                        OFFSET_NUMBER => number,
                        OFFSET_ARCH => arch,
                        k => {
                            let index = (k - OFFSET_ARGS) as usize / 8;
                            (args[index] >> (8 * ((k - OFFSET_ARGS) % 8))) as u32
                        }
                    }
                }
                AND => a &= i.k,
                JUMP => at += i.k as usize,
                JUMP_EQUAL => at += usize::from(if a == i.k { i.jt } else { i.jf }),
                JUMP_GREATER => at += usize::from(if a > i.k { i.jt } else { i.jf }),
                JUMP_GREATER_EQUAL => at += usize::from(if a >= i.k { i.jt } else { i.jf }),
                RETURN => return i.k,
                other => panic!("unknown operation {other:#x}"),
            }
        }
    }

    fn holds(arg: &LinuxSeccompArg, args: [u64; 6]) -> bool {
        let (have, value) = (args[arg.index()], arg.value());
        match arg.op() {
            LinuxSeccompOperator::ScmpCmpNe => have != value,
            LinuxSeccompOperator::ScmpCmpLt => have < value,
            LinuxSeccompOperator::ScmpCmpLe => have <= value,
            LinuxSeccompOperator::ScmpCmpEq => have == value,
            LinuxSeccompOperator::ScmpCmpGe => have >= value,
            LinuxSeccompOperator::ScmpCmpGt => have > value,
            LinuxSeccompOperator::ScmpCmpMaskedEq => have & value == arg.value_two().unwrap_or(0),
        }
    }

    /// The rules with the numbers they name.
    fn numbered(filter: &LinuxSeccomp, abi: Abi) -> Vec<(Vec<u32>, &LinuxSyscall)> {
        let numbers = |rule: &LinuxSyscall| rule.names().iter().filter_map(|name| abi.number(name)).collect();
        filter.syscalls().iter().flatten().map(|rule| (numbers(rule), rule)).collect()
    }

    /// The answer read directly off the rules.
    fn expected(
        filter: &LinuxSeccomp,
        rules: &[(Vec<u32>, &LinuxSyscall)],
        number: u32,
        args: [u64; 6],
    ) -> u32 {
        let named = || rules.iter().filter(|(numbers, _)| numbers.contains(&number)).map(|(_, rule)| *rule);
        let list = |rule: &LinuxSyscall| rule.args().clone().unwrap_or_default();
        let with_args =
            named().find(|rule| !list(rule).is_empty() && list(rule).iter().all(|arg| holds(arg, args)));
        if let Some(rule) = with_args.or_else(|| named().find(|rule| list(rule).is_empty())) {
            return action(rule.action(), rule.errno_ret());
        }
        let newest = rules.iter().flat_map(|(numbers, _)| numbers).max();
        if newest.is_some_and(|newest| number > *newest) {
            return ENOSYS;
        }
        action(filter.default_action(), filter.default_errno_ret())
    }

    fn docker(caps: &[&str]) -> LinuxSeccomp {
        let caps = caps.iter().map(|name| name.parse().unwrap()).collect();
        default_seccomp(&caps)
    }

    #[test]
    fn docker_default_decides_as_its_rules_say() {
        for caps in [&[][..], &["SYS_ADMIN", "SYS_CHROOT", "BPF"][..]] {
            let filter = docker(caps);
            let program = compile(&filter).unwrap();
            for abi in [Abi::X86_64, Abi::X86, Abi::X32] {
                let base = if abi == Abi::X32 { X32_BIT } else { 0 };
                let rules = numbered(&filter, abi);
                for number in (0..600).map(|n| n + base) {
                    for first in [0, 1, 8, 40, 0x7e02_0000, 0x1_0000_0000, 0xffff_ffff] {
                        let args = [first, 0, 0, 0, 0, 0];
                        let got = run(program.instructions(), abi.audit(), number, args);
                        assert_eq!(
                            got,
                            expected(&filter, &rules, number, args),
                            "{abi:?} {number} {first:#x}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn docker_default_in_words() {
        let program = compile(&docker(&[])).unwrap();
        let answer = |name: &str, arg: u64| {
            let number = Abi::X86_64.number(name).unwrap();
            format!(
                "{name}({arg:#x}) {:#x}\n",
                run(program.instructions(), 0xc000_003e, number, [arg, 0, 0, 0, 0, 0])
            )
        };
        let text: String = [
            ("read", 0),
            ("mount", 0),
            ("clone", 0x11),
            ("clone", 0x1000_0000),
            ("clone3", 0),
            ("socket", 40),
            ("socket", 2),
            ("personality", 8),
            ("personality", 9),
            ("open_tree_attr", 0),
        ]
        .map(|(name, arg)| answer(name, arg))
        .concat();
        expect![[r#"
            read(0x0) 0x7fff0000
            mount(0x0) 0x50001
            clone(0x11) 0x7fff0000
            clone(0x10000000) 0x50001
            clone3(0x0) 0x50026
            socket(0x28) 0x50001
            socket(0x2) 0x7fff0000
            personality(0x8) 0x7fff0000
            personality(0x9) 0x50001
            open_tree_attr(0x0) 0x50026
        "#]]
        .assert_eq(&text);
        assert_eq!(run(program.instructions(), 0xc000_00b7, 0, [0; 6]), BAD_ARCH);
    }

    #[test]
    fn the_docker_filter_stays_small() {
        // About 100 intervals for each of three architectures.
        let program = compile(&docker(&[])).unwrap();
        assert!(program.instructions().len() < 700, "{}", program.instructions().len());
    }

    fn filter(json: &str) -> LinuxSeccomp {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn architectures_not_listed_are_killed() {
        let filter = filter(r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86_64"]}"#);
        let program = compile(&filter).unwrap();
        let answer = |arch, number| run(program.instructions(), arch, number, [0; 6]);
        assert_eq!(answer(0xc000_003e, 59), ALLOW);
        assert_eq!(answer(0xc000_003e, X32_BIT + 1), BAD_ARCH);
        assert_eq!(answer(0x4000_0003, 11), BAD_ARCH);
    }

    #[test]
    fn alternatives_on_one_argument() {
        let filter = filter(
            r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["kill"],"action":"SCMP_ACT_ALLOW","args":[
                {"index":1,"value":9,"op":"SCMP_CMP_EQ"},{"index":1,"value":15,"op":"SCMP_CMP_EQ"}]}]}"#,
        );
        let program = compile(&filter).unwrap();
        let answer = |signal| run(program.instructions(), 0xc000_003e, 62, [1, signal, 0, 0, 0, 0]);
        assert_eq!([answer(9), answer(15), answer(1)], [ALLOW, ALLOW, EPERM]);
    }

    #[test]
    fn the_table_is_sorted() {
        assert!(SYSCALLS.is_sorted_by_key(|(name, _)| *name));
    }

    #[test]
    fn large_filters_need_long_jumps() {
        let mut numbers: Vec<_> =
            SYSCALLS.iter().filter_map(|(name, _)| Some((Abi::X86.number(name)?, *name))).collect();
        numbers.sort_unstable();
        let names: Vec<&str> = numbers.iter().step_by(2).map(|(_, name)| *name).collect();
        let json = serde_json::json!({"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86"],
            "syscalls": [{"names": names, "action": "SCMP_ACT_LOG"}]});
        let filter: LinuxSeccomp = serde_json::from_value(json).unwrap();
        let program = compile(&filter).unwrap();
        assert!(program.instructions().iter().any(|i| i.code == JUMP && i.k > 255));
        let rules = numbered(&filter, Abi::X86);
        for number in 0..500 {
            let got = run(program.instructions(), Abi::X86.audit(), number, [0; 6]);
            assert_eq!(got, expected(&filter, &rules, number, [0; 6]), "{number}");
        }
    }

    #[test]
    fn filters_beyond_the_kernels_limit_are_refused() {
        let rule = |(index, (name, _)): (usize, &(&str, [i16; 4]))| {
            serde_json::json!({"names": [name], "action": "SCMP_ACT_LOG", "args": [
                {"index": 0, "value": index, "op": "SCMP_CMP_LT"}, {"index": 5, "value": 7, "op": "SCMP_CMP_GE"}]})
        };
        let rules: Vec<_> = SYSCALLS.iter().enumerate().map(rule).collect();
        let json = serde_json::json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules});
        assert!(compile(&serde_json::from_value(json).unwrap()).is_err());
    }

    fn operator() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec!["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"])
    }

    fn value() -> impl Strategy<Value = u64> {
        prop_oneof![
            0..4u64,
            any::<u64>(),
            (0..4u64).prop_map(|n| n << 32),
            (0..4u64).prop_map(|n| u64::MAX - n)
        ]
    }

    proptest! {
        #[test]
        fn any_rules(
            rules in prop::collection::vec((0..20usize, prop::collection::vec((0..6usize, value(), value(), operator()), 0..3)), 0..30),
            args in prop::array::uniform6(value()),
        ) {
            let syscalls: Vec<_> = rules.iter().map(|(call, args)| serde_json::json!({
                "names": [SYSCALLS[call * 7].0], "action": "SCMP_ACT_ALLOW",
                "args": args.iter().map(|(index, value, two, op)| serde_json::json!({
                    "index": index, "value": value, "valueTwo": two, "op": format!("SCMP_CMP_{op}")})).collect::<Vec<_>>(),
            })).collect();
            let json = serde_json::json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
                "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"], "syscalls": syscalls});
            let filter: LinuxSeccomp = serde_json::from_value(json).unwrap();
            // Several conditions on one argument are alternatives, which `expected` does not model.
            let unique = |list: &[LinuxSeccompArg]| {
                let mut indices: Vec<_> = list.iter().map(LinuxSeccompArg::index).collect();
                indices.sort_unstable();
                indices.windows(2).all(|pair| pair[0] != pair[1])
            };
            prop_assume!(filter.syscalls().iter().flatten().all(|rule| rule.args().as_ref().is_none_or(|list| unique(list))));
            let program = compile(&filter).unwrap();
            for abi in [Abi::X86_64, Abi::X86] {
                let rules = numbered(&filter, abi);
                for number in 0..500 {
                    let got = run(program.instructions(), abi.audit(), number, args);
                    prop_assert_eq!(got, expected(&filter, &rules, number, args));
                }
            }
        }
    }

    #[test]
    fn profiles_of_users_compile() {
        let profile = Profile::parse(
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"name":"chmod","action":"SCMP_ACT_ERRNO"}]}"#,
        );
        let filter = profile.unwrap().resolve(&Default::default()).unwrap();
        let program = compile(&filter).unwrap();
        assert_eq!(run(program.instructions(), 0xc000_003e, 90, [0; 6]), EPERM);
        assert_eq!(run(program.instructions(), 0xc000_003e, 91, [0; 6]), ALLOW);
    }
}
