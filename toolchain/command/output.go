package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
)

// Logging says which of a command's streams the user sees while it runs; both are outputs anyway.
type Logging string

const (
	logStdout Logging = "stdout"
	logStderr Logging = "stderr"
	logBoth   Logging = "stdoutAndStderr"
	logNone   Logging = "none"
)

// Values lists what the input can be.
func (Logging) Values() []infer.EnumValue[Logging] {
	return []infer.EnumValue[Logging]{
		{Name: string(logStdout), Value: logStdout},
		{Name: string(logStderr), Value: logStderr},
		{Name: string(logBoth), Value: logBoth},
		{Name: string(logNone), Value: logNone},
	}
}

func (l *Logging) shows(stream Logging) bool {
	return l == nil || *l == stream || *l == logBoth
}

// CommandResult is what a command printed when it last ran.
type CommandResult struct {
	Stdout string `pulumi:"stdout"`
	Stderr string `pulumi:"stderr"`
}

// Names of the variables by which a command gets what the one before it printed.
const (
	stdoutVariable = "PULUMI_COMMAND_STDOUT"
	stderrVariable = "PULUMI_COMMAND_STDERR"
)

// previous are the variables for the next command; what is empty is not set.
func (r CommandResult) previous(wanted *bool) [][2]string {
	if wanted != nil && !*wanted {
		return nil
	}
	var variables [][2]string
	for _, one := range [][2]string{{stdoutVariable, r.Stdout}, {stderrVariable, r.Stderr}} {
		if one[1] != "" {
			variables = append(variables, one)
		}
	}
	return variables
}

// longestLine is how much of one line the user sees while the command runs; outputs have all of it.
const longestLine = 64 << 10

// recording keeps what a running command prints. Its streams may be written at the same time.
type recording struct {
	mutex          sync.Mutex
	stdout, stderr bytes.Buffer
	// both has the streams as they came, for an error's text
	both bytes.Buffer
	// line is the beginning of the line that is being printed
	line bytes.Buffer
	show func(line string)
	// over is set once the result is given: what a survivor prints is nobody's
	over bool
}

func newRecording(ctx context.Context) *recording {
	logger := p.GetLogger(ctx)
	return &recording{show: func(line string) { logger.InfoStatus(line) }}
}

type stream struct {
	*recording
	own    *bytes.Buffer
	logged bool
}

func (s stream) Write(data []byte) (int, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.over {
		return len(data), nil
	}
	s.own.Write(data)
	s.both.Write(data)
	if s.logged {
		s.log(data)
	}
	return len(data), nil
}

func (r *recording) streams(logging *Logging) (stdout, stderr io.Writer) {
	return stream{r, &r.stdout, logging.shows(logStdout)}, stream{r, &r.stderr, logging.shows(logStderr)}
}

func (r *recording) log(data []byte) {
	for {
		piece, rest, ended := bytes.Cut(data, []byte("\n"))
		r.line.Write(piece[:min(len(piece), longestLine-r.line.Len())])
		if !ended {
			return
		}
		r.endLine()
		data = rest
	}
}

func (r *recording) endLine() {
	text := strings.TrimSuffix(r.line.String(), "\r")
	// Whatever else cannot go to the engine at all
	r.show(strings.ToValidUTF8(text, "\uFFFD"))
	r.line.Reset()
}

// finish shows a last line without an end, and gives the outputs or the command's error.
func (r *recording) finish(command string, failed error) (CommandResult, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.over = true
	if r.line.Len() > 0 {
		r.endLine()
	}
	if failed != nil {
		return CommandResult{}, fmt.Errorf("%w: running %q:\n%s", failed, command, r.both.String())
	}
	return CommandResult{
		Stdout: strings.TrimSuffix(r.stdout.String(), "\n"),
		Stderr: strings.TrimSuffix(r.stderr.String(), "\n"),
	}, nil
}
