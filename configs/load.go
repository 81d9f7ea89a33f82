package configs

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// maxFileBytes bounds the file; far above what people write, far below what hurts.
const maxFileBytes = 1 << 20

// Load reads the file at path, puts the environment over it and checks the
// result. An empty path means the one in EDGEPURGE_CONFIG, and if that is empty
// too, no file: defaults and environment alone. getenv is os.Getenv or a stand-in.
//
// A file that cannot be read is an error that wraps the cause. Otherwise the
// error joins all faults, each a *Fault. A token that is missing or cannot be
// had is not among them, for many commands need none: see RequireTokens.
func Load(path string, getenv func(string) string) (Config, error) {
	variable := ""
	if path == "" {
		if path = getenv("EDGEPURGE_CONFIG"); path != "" {
			variable = " that EDGEPURGE_CONFIG names"
		}
	}
	if path == "" {
		return build("", nil, getenv)
	}
	data, err := readBounded(path, maxFileBytes)
	if err != nil {
		return Config{}, fmt.Errorf("read the configuration%s: %w", variable, err)
	}
	return build(path, data, getenv)
}

// build is Load without the reading: file names data in faults, and relative
// paths of secrets begin at its directory.
func build(file string, data []byte, getenv func(string) string) (Config, error) {
	r := &reader{
		cfg:        Default(),
		file:       file,
		dir:        filepath.Dir(file),
		getenv:     getenv,
		places:     places{},
		broken:     map[string]bool{},
		unresolved: map[string]string{},
	}
	r.cfg.Worker.Projects = nil // complete decides, once the accounts are known
	r.cfg.File = file
	if file != "" {
		r.places[""] = place{file: file}
		root, fault := parse(file, data)
		if fault != nil {
			return Config{}, fault // what a half-read file leaves out would only mislead
		}
		r.root(root)
	}
	r.complete()
	r.environment()
	r.validate()
	if err := r.faults.err(); err != nil {
		return Config{}, err
	}
	r.cfg.origin = origin{places: r.places, unresolved: r.unresolved, gateway: r.gatewayFaults, doubts: r.doubts}
	return r.cfg, nil
}

// pipeTimeout is how long a pipe may take to say all that it has.
const pipeTimeout = 10 * time.Second

// readBounded reads a file of at most limit bytes. It does not ask for a regular
// file: a pipe, as shells and secret managers hand over, is as good. One that is
// never written to must not keep a process from starting, or from ending.
func readBounded(path string, limit int64) ([]byte, error) {
	type result struct {
		data []byte
		err  error
	}
	read := make(chan result, 1)
	go func() {
		data, err := readAtMost(path, limit)
		read <- result{data, err}
	}()
	select {
	case r := <-read:
		return r.data, r.err
	case <-time.After(pipeTimeout):
		return nil, fmt.Errorf("%s is a pipe from which nothing came for %s: name a file, or something that writes to it", path, pipeTimeout)
	}
}

func readAtMost(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path) //nolint:gosec // the path is the operator's own
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return data, nil
}
