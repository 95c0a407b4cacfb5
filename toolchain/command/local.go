package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/pulumi/pulumi-go-provider/infer"
)

// LocalCommand is local.Command: commands on the machine that Pulumi runs on.
type LocalCommand struct{}

// Annotate names the resource.
func (c *LocalCommand) Annotate(a infer.Annotator) { a.SetToken("local", "Command") }

// LocalInputs are the inputs of local.Command.
type LocalInputs struct {
	Lifecycle
	Stdin                  *string            `pulumi:"stdin,optional"`
	Logging                *Logging           `pulumi:"logging,optional"`
	Interpreter            *[]string          `pulumi:"interpreter,optional"`
	Dir                    *string            `pulumi:"dir,optional"`
	Environment            *map[string]string `pulumi:"environment,optional"`
	AddPreviousOutputInEnv *bool              `pulumi:"addPreviousOutputInEnv,optional"`
}

// LocalState is a local.Command as the state keeps it.
type LocalState struct {
	LocalInputs
	CommandResult
}

// Check refuses inputs that would make outputs which this plugin has not.
func (*LocalCommand) Check(ctx context.Context, request infer.CheckRequest) (infer.CheckResponse[LocalInputs], error) {
	inputs, failures, err := infer.DefaultCheck[LocalInputs](ctx, request.NewInputs)
	failures = append(failures, refusedInputs(request.NewInputs, "assetPaths", "archivePaths")...)
	return infer.CheckResponse[LocalInputs]{Inputs: inputs, Failures: failures}, err
}

// Create runs the command for it, if there is one.
func (*LocalCommand) Create(ctx context.Context, request infer.CreateRequest[LocalInputs]) (infer.CreateResponse[LocalState], error) {
	state := LocalState{LocalInputs: request.Inputs}
	id, err := newID(request.Name)
	if err == nil && !request.DryRun {
		err = state.run(ctx, state.Create)
	}
	return infer.CreateResponse[LocalState]{ID: id, Output: state}, err
}

// Update runs the command for it, or else the one that creates.
func (*LocalCommand) Update(ctx context.Context, request infer.UpdateRequest[LocalInputs, LocalState]) (infer.UpdateResponse[LocalState], error) {
	state := LocalState{LocalInputs: request.Inputs, CommandResult: request.State.CommandResult}
	var err error
	if !request.DryRun {
		err = state.run(ctx, state.forUpdate())
	}
	return infer.UpdateResponse[LocalState]{Output: state}, err
}

// Delete runs the command for it, if there is one.
func (*LocalCommand) Delete(ctx context.Context, request infer.DeleteRequest[LocalState]) (infer.DeleteResponse, error) {
	return infer.DeleteResponse{}, request.State.run(ctx, request.State.Delete)
}

// run runs a command, unless there is none, and keeps what it printed.
func (s *LocalState) run(ctx context.Context, command *string) error {
	if command == nil {
		return nil
	}
	record := newRecording(ctx)
	process := s.process(ctx, *command)
	process.Stdout, process.Stderr = record.streams(s.Logging)
	result, err := record.finish(*command, runProcess(ctx, process))
	if err == nil {
		s.CommandResult = result
	}
	return err
}

func (s *LocalState) process(ctx context.Context, command string) *exec.Cmd {
	words := []string{"/bin/sh", "-c"}
	if s.Interpreter != nil && len(*s.Interpreter) > 0 {
		words = *s.Interpreter
	}
	process := exec.CommandContext(ctx, words[0], append(words[1:len(words):len(words)], command)...)
	if s.Dir != nil {
		process.Dir = *s.Dir
	}
	process.Env = os.Environ()
	if s.Environment != nil {
		for name, value := range *s.Environment {
			process.Env = append(process.Env, name+"="+value)
		}
	}
	for _, variable := range s.previous(s.AddPreviousOutputInEnv) {
		process.Env = append(process.Env, variable[0]+"="+variable[1])
	}
	if s.Stdin != nil && *s.Stdin != "" {
		process.Stdin = strings.NewReader(*s.Stdin)
	}
	return process
}

// afterEnd is how long a command that was ended may take until its last output is here.
const afterEnd = 2 * time.Second

// runProcess waits for a process and for all that holds its output open, as a shell's pipe would.
// Once Pulumi wants no more of it, only the process is waited for: what it started may live on, in
// the plugin's process group, which the engine ends with the plugin.
func runProcess(ctx context.Context, process *exec.Cmd) error {
	ended := make(chan error, 1)
	go func() { ended <- process.Run() }()
	var err error
	select {
	case err = <-ended:
	case <-ctx.Done():
		select {
		case err = <-ended:
		case <-time.After(afterEnd):
			err = errors.New("signal: killed")
		}
	}
	if errors.Is(err, syscall.E2BIG) {
		return fmt.Errorf("%w: environment and previous outputs are too long for a process; "+
			"addPreviousOutputInEnv: false leaves the outputs out", err)
	}
	return stopped(ctx, err)
}

// stopped says in a command's error why it was stopped.
func stopped(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("%w, for the time that customTimeouts gives it is over", err)
	case ctx.Err() != nil:
		return fmt.Errorf("%w, for the operation was cancelled", err)
	}
	return err
}
