package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
	"golang.org/x/crypto/ssh"
)

// RemoteCommand is remote.Command: commands on a machine that SSH reaches.
type RemoteCommand struct{}

// Annotate names the resource.
func (c *RemoteCommand) Annotate(a infer.Annotator) { a.SetToken("remote", "Command") }

// RemoteInputs are the inputs of remote.Command.
type RemoteInputs struct {
	Lifecycle
	Stdin                  *string           `pulumi:"stdin,optional"`
	Logging                *Logging          `pulumi:"logging,optional"`
	Connection             *Connection       `pulumi:"connection" provider:"secret"`
	Environment            map[string]string `pulumi:"environment,optional"`
	AddPreviousOutputInEnv *bool             `pulumi:"addPreviousOutputInEnv,optional"`
}

// RemoteState is a remote.Command as the state keeps it.
type RemoteState struct {
	RemoteInputs
	CommandResult
}

// Create runs the command for it, if there is one.
func (*RemoteCommand) Create(ctx context.Context, request infer.CreateRequest[RemoteInputs]) (infer.CreateResponse[RemoteState], error) {
	state := RemoteState{RemoteInputs: request.Inputs}
	id, err := newID(request.Name)
	if err == nil && !request.DryRun {
		err = state.run(ctx, state.Create)
	}
	return infer.CreateResponse[RemoteState]{ID: id, Output: state}, err
}

// Update runs the command for it, or else the one that creates.
func (*RemoteCommand) Update(ctx context.Context, request infer.UpdateRequest[RemoteInputs, RemoteState]) (infer.UpdateResponse[RemoteState], error) {
	state := RemoteState{RemoteInputs: request.Inputs, CommandResult: request.State.CommandResult}
	var err error
	if !request.DryRun {
		err = state.run(ctx, state.forUpdate())
	}
	return infer.UpdateResponse[RemoteState]{Output: state}, err
}

// Delete runs the command for it, if there is one.
func (*RemoteCommand) Delete(ctx context.Context, request infer.DeleteRequest[RemoteState]) (infer.DeleteResponse, error) {
	return infer.DeleteResponse{}, request.State.run(ctx, request.State.Delete)
}

// run runs a command, unless there is none, and keeps what it printed.
func (s *RemoteState) run(ctx context.Context, command *string) error {
	if command == nil {
		return nil
	}
	way, err := s.Connection.dial(ctx)
	if err != nil {
		return err
	}
	defer way.close()
	session, err := way.client.NewSession()
	if err != nil {
		return fmt.Errorf("machine %s opens no session: %w", *s.Connection.Host, err)
	}
	defer session.Close()
	if err := s.setEnvironment(ctx, session); err != nil {
		return err
	}
	if s.Stdin != nil && *s.Stdin != "" {
		session.Stdin = strings.NewReader(*s.Stdin)
	}
	record := newRecording(ctx)
	session.Stdout, session.Stderr = record.streams(s.Logging)
	result, err := record.finish(*command, runSession(ctx, session, way, *command))
	if err == nil {
		s.CommandResult = result
	}
	return err
}

// runSession runs a command to its end, or ends it and the connection when Pulumi wants no more of
// it. Only the connection's end is certain: not every server passes a signal on.
func runSession(ctx context.Context, session *ssh.Session, way *way, command string) error {
	ended := make(chan error, 1)
	go func() { ended <- session.Run(command) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		// A signal waits its turn behind input that a dead machine does not take
		signalled := make(chan struct{})
		go func() { defer close(signalled); _ = session.Signal(ssh.SIGKILL) }()
		select {
		case <-signalled:
		case <-time.After(afterEnd):
		}
		way.close()
		<-ended
		return stopped(ctx, errors.New("the connection was closed"))
	}
}

// longestVariable is what Linux takes at most for one variable of a process.
const longestVariable = 128 << 10

// setEnvironment asks the server for the variables. It must accept those that are inputs; the
// previous outputs are an offer.
func (s *RemoteState) setEnvironment(ctx context.Context, session *ssh.Session) error {
	for _, name := range slices.Sorted(maps.Keys(s.Environment)) {
		if err := setVariable(session, name, s.Environment[name]); err != nil {
			p.GetLogger(ctx).Error(refusedVariable(name))
			return fmt.Errorf("could not set environment variable %q: %w", name, err)
		}
	}
	for _, variable := range s.previous(s.AddPreviousOutputInEnv) {
		if setVariable(session, variable[0], variable[1]) != nil {
			p.GetLogger(ctx).Warning(refusedVariable(variable[0]) +
				". addPreviousOutputInEnv: false asks for none of the previous outputs")
		}
	}
	return nil
}

// setVariable spares the connection a packet so long that it would break it.
func setVariable(session *ssh.Session, name, value string) error {
	if len(name)+len(value) >= longestVariable {
		return fmt.Errorf("its %d bytes are more than a process can be given", len(value))
	}
	return session.Setenv(name, value)
}

func refusedVariable(name string) string {
	return fmt.Sprintf("The machine did not take the variable '%s': its sshd must allow the name by AcceptEnv, "+
		"and it must be shorter than %d KiB. A command can set variables itself: NAME=value command", name, longestVariable>>10)
}
