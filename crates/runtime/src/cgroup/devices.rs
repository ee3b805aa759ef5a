//! Which devices a container may use: the v1 devices controller, and the eBPF program that v2 has instead.

use std::os::fd::AsFd;

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};
use rustix::fs::{Mode, OFlags};
use wharf_sys::Errno;
use wharf_sys::bpf::{self, Instruction};

use super::{Cgroup, try_write};
use crate::error::{Context, Result};

const MKNOD: u8 = 1;
const READ: u8 = 2;
const WRITE: u8 = 4;

/// A device or group of devices; `None` stands for every number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Device {
    block: bool,
    major: Option<u32>,
    minor: Option<u32>,
}

/// What is left when all rules were applied in order: a default and the devices that are treated the other way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Policy {
    allow: bool,
    exceptions: Vec<(Device, u8)>,
}

impl Policy {
    fn of(rules: &[LinuxDeviceCgroup]) -> Self {
        let mut policy = Self::default();
        for rule in rules {
            policy.add(rule);
        }
        policy
    }

    fn add(&mut self, rule: &LinuxDeviceCgroup) {
        let block = match rule.typ().unwrap_or_default() {
            LinuxDeviceType::B => true,
            LinuxDeviceType::C | LinuxDeviceType::U => false,
            LinuxDeviceType::A => {
                *self = Self { allow: rule.allow(), exceptions: Vec::new() };
                return;
            }
            LinuxDeviceType::P => return,
        };
        let number = |value: Option<i64>| value.and_then(|n| u32::try_from(n).ok());
        let device = Device { block, major: number(rule.major()), minor: number(rule.minor()) };
        self.change(device, access_bits(rule.access().as_deref().unwrap_or("rwm")), rule.allow());
    }

    fn change(&mut self, device: Device, access: u8, allow: bool) {
        let known = self.exceptions.iter().position(|(known, _)| *known == device);
        if allow == self.allow {
            if let Some(at) = known {
                self.exceptions[at].1 &= !access;
                if self.exceptions[at].1 == 0 {
                    self.exceptions.remove(at);
                }
            }
            return;
        }
        match known {
            Some(at) => self.exceptions[at].1 |= access,
            None => self.exceptions.push((device, access)),
        }
    }

    /// Devices no container works without, and making any node: harmless, since using it stays forbidden.
    fn add_defaults(&mut self) {
        let all = |block| Device { block, major: None, minor: None };
        self.change(all(false), MKNOD, true);
        self.change(all(true), MKNOD, true);
        for (major, minor) in [
            (1, Some(3)),
            (1, Some(5)),
            (1, Some(7)),
            (1, Some(8)),
            (1, Some(9)),
            (5, Some(0)),
            (5, Some(2)),
            (136, None),
            (10, Some(200)),
        ] {
            self.change(Device { block: false, major: Some(major), minor }, READ | WRITE | MKNOD, true);
        }
    }
}

fn access_bits(access: &str) -> u8 {
    access.bytes().fold(0, |bits, byte| {
        bits | match byte {
            b'r' => READ,
            b'w' => WRITE,
            b'm' => MKNOD,
            _ => 0,
        }
    })
}

/// Puts the rules into force; without any, everything stays allowed.
pub(super) fn apply(cgroup: &Cgroup, rules: &[LinuxDeviceCgroup]) -> Result<()> {
    if rules.is_empty() {
        return Ok(());
    }
    let mut policy = Policy::of(rules);
    policy.add_defaults();
    if let Some(dir) = cgroup.dir("devices") {
        for (file, line) in v1_lines(&policy) {
            match try_write(dir, file, &line) {
                // In a user namespace the controller cannot be changed, and nodes cannot be made either.
                Err(Errno::PERM) => return Ok(()),
                result => result.setup(|| format!("failed to write {line:?} to {}/{file}", dir.display()))?,
            }
        }
        return Ok(());
    }
    apply_program(cgroup, &policy)
}

fn v1_lines(policy: &Policy) -> Vec<(&'static str, String)> {
    let (default, other) =
        if policy.allow { ("devices.allow", "devices.deny") } else { ("devices.deny", "devices.allow") };
    let number = |n: Option<u32>| n.map_or("*".to_owned(), |n| n.to_string());
    let exceptions = policy.exceptions.iter().map(|(device, access)| {
        let kind = if device.block { 'b' } else { 'c' };
        let mut line = format!("{kind} {}:{} ", number(device.major), number(device.minor));
        for (bit, letter) in [(READ, 'r'), (WRITE, 'w'), (MKNOD, 'm')] {
            if access & bit != 0 {
                line.push(letter);
            }
        }
        (other, line)
    });
    [(default, "a".to_owned())].into_iter().chain(exceptions).collect()
}

fn apply_program(cgroup: &Cgroup, policy: &Policy) -> Result<()> {
    let Some(dir) = &cgroup.unified else { return Ok(()) };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir_fd =
        rustix::fs::open(dir, flags, Mode::empty()).setup(|| format!("open cgroup {}", dir.display()))?;
    let program = match bpf::load_device_program(&program(policy)) {
        // Not permitted in a user namespace.
        Err(Errno::PERM) if !policy_needed() => return Ok(()),
        result => result.setup(|| "load device program".into())?,
    };
    let old = bpf::device_programs(dir_fd.as_fd()).unwrap_or_default();
    bpf::attach_device_program(dir_fd.as_fd(), program.as_fd()).setup(|| "attach device program".into())?;
    for stale in old {
        let _ = bpf::detach_device_program(dir_fd.as_fd(), stale.as_fd());
    }
    Ok(())
}

/// Whether this process could use devices at all if nothing forbade it.
fn policy_needed() -> bool {
    std::fs::read_to_string("/proc/self/uid_map")
        .is_ok_and(|map| map.split_whitespace().eq(["0", "0", "4294967295"]))
}

const REG_RESULT: u8 = 0;
const REG_CONTEXT: u8 = 1;
const REG_TYPE: u8 = 2;
const REG_ACCESS: u8 = 3;
const REG_MAJOR: u8 = 4;
const REG_MINOR: u8 = 5;

fn insn(code: u8, dst: u8, src: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction { code, registers: dst | src << 4, offset, immediate }
}

fn load_word(dst: u8, offset: i16) -> Instruction {
    insn(0x61, dst, REG_CONTEXT, offset, 0)
}

fn exit_with(allow: bool) -> [Instruction; 2] {
    [insn(0xb7, REG_RESULT, 0, 0, i32::from(allow)), insn(0x95, 0, 0, 0, 0)]
}

/// The program over `struct bpf_cgroup_dev_ctx`: type and access in one word, then major and minor.
fn program(policy: &Policy) -> Vec<Instruction> {
    let mut code = vec![
        load_word(REG_TYPE, 0),
        insn(0x57, REG_TYPE, 0, 0, 0xffff),
        load_word(REG_ACCESS, 0),
        insn(0x77, REG_ACCESS, 0, 0, 16),
        load_word(REG_MAJOR, 4),
        load_word(REG_MINOR, 8),
    ];
    for (device, access) in &policy.exceptions {
        code.extend(exception(policy.allow, *device, *access));
    }
    code.extend(exit_with(policy.allow));
    code
}

/// Decides when the device is the excepted one, else falls through to what follows.
fn exception(default: bool, device: Device, access: u8) -> Vec<Instruction> {
    // Offsets are filled in below: every mismatch jumps behind the block.
    let mut block = vec![insn(0x55, REG_TYPE, 0, 0, if device.block { 1 } else { 2 })];
    if access != READ | WRITE | MKNOD || default {
        // r1 is the context, which is no longer needed once the words are loaded.
        block.push(insn(0xbf, REG_CONTEXT, REG_ACCESS, 0, 0));
        block.push(insn(0x57, REG_CONTEXT, 0, 0, i32::from(access)));
        // Allowing needs every requested kind of access, denying any of them.
        block.push(if default {
            insn(0x15, REG_CONTEXT, 0, 0, 0)
        } else {
            insn(0x5d, REG_CONTEXT, REG_ACCESS, 0, 0)
        });
    }
    for (register, number) in [(REG_MAJOR, device.major), (REG_MINOR, device.minor)] {
        if let Some(number) = number {
            block.push(insn(0x55, register, 0, 0, number as i32));
        }
    }
    let total = block.len() + 2;
    for (at, instruction) in block.iter_mut().enumerate() {
        if matches!(instruction.code, 0x55 | 0x5d | 0x15) {
            instruction.offset = (total - at - 1) as i16;
        }
    }
    block.extend(exit_with(!default));
    block
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn policy(rules: &str) -> Policy {
        let rules: Vec<LinuxDeviceCgroup> = serde_json::from_str(rules).unwrap();
        Policy::of(&rules)
    }

    /// What the program answers.
    fn decide(code: &[Instruction], block: bool, access: u8, major: u32, minor: u32) -> bool {
        let context = [u32::from(access) << 16 | if block { 1 } else { 2 }, major, minor];
        let mut registers = [0u64; 11];
        let mut at = 0;
        loop {
            let i = code[at];
            let (dst, src) = (usize::from(i.registers & 15), usize::from(i.registers >> 4));
            at += 1;
            let jump = match i.code {
                0x61 => {
                    registers[dst] = u64::from(context[i.offset as usize / 4]);
                    false
                }
                0x57 => {
                    registers[dst] &= i.immediate as u64;
                    false
                }
                0x77 => {
                    registers[dst] >>= i.immediate;
                    false
                }
                0xb7 => {
                    registers[dst] = i.immediate as u64;
                    false
                }
                0xbf => {
                    registers[dst] = registers[src];
                    false
                }
                0x55 => registers[dst] != i.immediate as u64,
                0x15 => registers[dst] == i.immediate as u64,
                0x5d => registers[dst] != registers[src],
                0x95 => return registers[0] == 1,
                other => panic!("unknown operation {other:#x}"),
            };
            if jump {
                at += i.offset as usize;
            }
        }
    }

    #[test]
    fn allow_list() {
        let mut policy = policy(
            r#"[{"allow":false,"access":"rwm"},{"allow":true,"type":"b","major":8,"access":"r"},
                {"allow":true,"type":"c","major":10,"minor":229,"access":"rwm"},
                {"allow":false,"type":"c","major":10,"minor":229,"access":"w"}]"#,
        );
        policy.add_defaults();
        let code = program(&policy);
        assert!(decide(&code, false, READ | WRITE, 1, 3));
        assert!(decide(&code, false, READ | WRITE, 136, 7));
        assert!(decide(&code, false, MKNOD, 99, 1));
        assert!(!decide(&code, false, READ, 1, 1));
        assert!(decide(&code, true, READ, 8, 1));
        assert!(!decide(&code, true, READ | WRITE, 8, 1));
        assert!(decide(&code, false, READ, 10, 229));
        assert!(!decide(&code, false, WRITE, 10, 229));
        expect![[r#"
            devices.deny a
            devices.allow b 8:* r
            devices.allow c 10:229 rm
            devices.allow c *:* m
            devices.allow b *:* m
            devices.allow c 1:3 rwm
            devices.allow c 1:5 rwm
            devices.allow c 1:7 rwm
            devices.allow c 1:8 rwm
            devices.allow c 1:9 rwm
            devices.allow c 5:0 rwm
            devices.allow c 5:2 rwm
            devices.allow c 136:* rwm
            devices.allow c 10:200 rwm
        "#]]
        .assert_eq(
            &v1_lines(&policy).iter().map(|(file, line)| format!("{file} {line}\n")).collect::<String>(),
        );
    }

    #[test]
    fn deny_list() {
        let mut policy = policy(
            r#"[{"allow":true,"access":"rwm"},{"allow":false,"type":"b","major":8,"minor":0,"access":"w"}]"#,
        );
        policy.add_defaults();
        let code = program(&policy);
        assert!(decide(&code, true, READ, 8, 0));
        assert!(!decide(&code, true, READ | WRITE, 8, 0));
        assert!(decide(&code, true, WRITE, 8, 1));
        assert_eq!(v1_lines(&policy).len(), 2);
    }

    #[test]
    fn a_rule_for_all_starts_over() {
        let policy =
            policy(r#"[{"allow":true,"type":"c","major":1,"access":"r"},{"allow":true,"access":"rwm"}]"#);
        assert_eq!(policy, Policy { allow: true, exceptions: Vec::new() });
    }
}
