package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/rs/zerolog"
	"golang.org/x/term"

	"github.com/edgepurge/edgepurge/configs"
)

// app is what every command shares: the world outside of the process and the
// flags of the root.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string

	configPath string
}

// loadConfig reads the file and the environment.
func (a *app) loadConfig() (configs.Config, error) {
	return configs.Load(a.configPath, a.getenv)
}

// logger writes to stderr: for people on a terminal, else JSON, unless l says otherwise.
func (a *app) logger(l configs.Log) zerolog.Logger {
	level, err := zerolog.ParseLevel(string(l.Level))
	if err != nil {
		level = zerolog.InfoLevel
	}
	w := a.stderr
	terminal := isTerminal(a.stderr)
	if l.Format == configs.FormatConsole || l.Format != configs.FormatJSON && terminal {
		w = zerolog.ConsoleWriter{Out: a.stderr, NoColor: !terminal || a.getenv("NO_COLOR") != "", TimeFormat: "15:04:05"}
	}
	return zerolog.New(w).Level(level).With().Timestamp().Logger()
}

// printf writes a result. That it cannot be written is told at the end: see output.
func (a *app) printf(format string, args ...any) { fmt.Fprintf(a.stdout, format, args...) }

// notef writes a remark for people to stderr.
func (a *app) notef(format string, args ...any) { fmt.Fprintf(a.stderr, format+"\n", args...) }

// printJSON writes a result for programs.
func (a *app) printJSON(v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // tags stay as they are
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	if _, err := a.stdout.Write(b.Bytes()); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}

// isTerminal reports whether a reader or writer is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(f.Fd()))
}

// plain keeps text that others wrote from steering the terminal or breaking a table.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
