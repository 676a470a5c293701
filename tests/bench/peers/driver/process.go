package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is one that this driver started; it does not outlive the driver.
type process struct {
	command *exec.Cmd
	ended   chan struct{}
	log     string
}

// startProcess with its output in a file of the folder.
func startProcess(arguments []string, environment []string, folder, name string) (*process, error) {
	path := filepath.Join(folder, name+".log")
	log, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	command := exec.Command(arguments[0], arguments[1:]...)
	command.Env = append(os.Environ(), environment...)
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p := &process{command: command, ended: make(chan struct{}), log: path}
	started := make(chan error)
	go func() {
		// The kernel looks at the death of the thread that started it, so that thread has to stay.
		runtime.LockOSThread()
		defer log.Close()
		started <- command.Start()
		if command.Process != nil {
			_ = command.Wait()
		}
		close(p.ended)
	}()
	return p, <-started
}

func (p *process) pid() int { return p.command.Process.Pid }

func (p *process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// stop waits until it is gone.
func (p *process) stop() {
	_ = p.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
		p.kill()
	}
}

func (p *process) kill() {
	_ = p.command.Process.Kill()
	<-p.ended
}

const ticksPerSecond = 100 // USER_HZ, the same on every Linux that Go runs on

// cpuTime that a process has used, its threads together.
func cpuTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseStat(stat)
}

// parseStat: fields 14 and 15, counted behind the name, which may hold spaces.
func parseStat(stat []byte) (time.Duration, error) {
	end := bytes.LastIndexByte(stat, ')')
	fields := strings.Fields(string(stat[end+1:]))
	if end < 0 || len(fields) < 13 {
		return 0, fmt.Errorf("cannot read %q", stat)
	}
	var ticks int64
	for _, field := range fields[11:13] {
		count, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += count
	}
	return time.Duration(ticks) * time.Second / ticksPerSecond, nil
}

// memory is resident and its peak, in MiB.
func memory(pid int) (resident, peak float64) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		kib, _ := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
		switch name {
		case "VmRSS":
			resident = kib / 1024
		case "VmHWM":
			peak = kib / 1024
		}
	}
	return resident, peak
}

// machineTime that all processors have been busy together, and could have been.
func machineTime() (busy, all time.Duration) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0
	}
	line, _, _ := strings.Cut(string(stat), "\n")
	for i, field := range strings.Fields(line)[1:] {
		ticks, _ := strconv.ParseInt(field, 10, 64)
		used := time.Duration(ticks) * time.Second / ticksPerSecond
		if i >= 8 { // guests are in user time already
			break
		}
		all += used
		if i != 3 && i != 4 { // idle and iowait
			busy += used
		}
	}
	return busy, all
}
