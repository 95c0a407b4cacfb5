package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/pkg/sftp"
	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
	"github.com/pulumi/pulumi-go-provider/infer/types"
)

// CopyToRemote is remote.CopyToRemote: a file or folder of this machine, on one that SSH reaches.
type CopyToRemote struct{}

// Annotate names the resource.
func (c *CopyToRemote) Annotate(a infer.Annotator) { a.SetToken("remote", "CopyToRemote") }

// CopyInputs are the inputs of remote.CopyToRemote.
type CopyInputs struct {
	Connection *Connection          `pulumi:"connection" provider:"secret"`
	Triggers   *[]any               `pulumi:"triggers,optional" provider:"replaceOnChanges"`
	Source     types.AssetOrArchive `pulumi:"source"`
	RemotePath string               `pulumi:"remotePath"`
}

// CopyState is a remote.CopyToRemote as the state keeps it.
type CopyState struct{ CopyInputs }

// Check wants a source that lies in the file system, or a text.
func (*CopyToRemote) Check(ctx context.Context, request infer.CheckRequest) (infer.CheckResponse[CopyInputs], error) {
	inputs, failures, err := infer.DefaultCheck[CopyInputs](ctx, request.NewInputs)
	response := infer.CheckResponse[CopyInputs]{Inputs: inputs, Failures: failures}
	source, known := request.NewInputs.GetOk("source")
	if err != nil || len(failures) > 0 || !known || source.HasComputed() {
		return response, err
	}
	if reason := inputs.unfit(); reason != "" {
		response.Failures = append(failures, p.CheckFailure{Property: "source", Reason: reason})
	}
	return response, nil
}

// unfit says why the source cannot be copied; nothing if it can.
func (c *CopyInputs) unfit() string {
	asset, archive := c.Source.Asset, c.Source.Archive
	switch {
	case (asset == nil) == (archive == nil):
		return "must be one asset or one archive"
	case asset != nil && !asset.IsPath() && !asset.IsText():
		return "an asset must be a FileAsset or a StringAsset"
	case archive != nil && !archive.IsPath():
		return "an archive must be a FileArchive, of a file or a folder"
	}
	return ""
}

// Create copies.
func (*CopyToRemote) Create(ctx context.Context, request infer.CreateRequest[CopyInputs]) (infer.CreateResponse[CopyState], error) {
	response := infer.CreateResponse[CopyState]{Output: CopyState{request.Inputs}}
	if request.DryRun {
		return response, nil
	}
	err := request.Inputs.copy(ctx)
	if err == nil {
		response.ID, err = newID("")
	}
	return response, err
}

// Update copies if there is something else to copy, or another place for it.
func (*CopyToRemote) Update(ctx context.Context, request infer.UpdateRequest[CopyInputs, CopyState]) (infer.UpdateResponse[CopyState], error) {
	now, before := request.Inputs, request.State
	var err error
	if !request.DryRun && (now.hash() != before.hash() || now.RemotePath != before.RemotePath) {
		err = now.copy(ctx)
	}
	return infer.UpdateResponse[CopyState]{Output: CopyState{now}}, err
}

func (c *CopyInputs) hash() string {
	switch {
	case c.Source.Archive != nil:
		return c.Source.Archive.Hash
	case c.Source.Asset != nil:
		return c.Source.Asset.Hash
	}
	return ""
}

func (c *CopyInputs) copy(ctx context.Context) error {
	way, err := c.Connection.dial(ctx)
	if err != nil {
		return err
	}
	defer way.close()
	keep := context.AfterFunc(ctx, way.close)
	defer keep()
	// Each file is written from its beginning and once: no later write relies on an earlier one
	client, err := sftp.NewClient(way.client, sftp.UseConcurrentWrites(true))
	if err != nil {
		return fmt.Errorf("SFTP on %s, whose sshd must have a subsystem for it: %w", *c.Connection.Host, err)
	}
	defer client.Close()
	return stopped(ctx, c.copyBy(target{client}))
}

func (c *CopyInputs) copyBy(to target) error {
	switch asset := c.Source.Asset; {
	case asset == nil:
		return to.copyPath(c.Source.Archive.Path, c.RemotePath)
	case asset.IsText():
		return to.copyText(asset.Text, c.RemotePath)
	default:
		return to.copyPath(asset.Path, c.RemotePath)
	}
}

// target is the file system of the machine that is copied to.
type target struct{ *sftp.Client }

// look finds what is at a path; nil if nothing is.
func (t target) look(at string) (fs.FileInfo, error) {
	info, err := t.Stat(at)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("remote path %s: %w", at, err)
	}
	return info, nil
}

// folder sees to it that a folder is there.
func (t target) folder(at string) error {
	info, err := t.look(at)
	if err != nil {
		return err
	}
	if info != nil && !info.IsDir() {
		return fmt.Errorf("remote path %s exists but is not a directory", at)
	}
	if info == nil {
		if err := t.MkdirAll(at); err != nil {
			return fmt.Errorf("remote directory %s cannot be made: %w", at, err)
		}
	}
	return nil
}

func (t target) copyText(text, to string) error {
	info, err := t.look(to)
	if err != nil {
		return err
	}
	if info != nil && info.IsDir() {
		return fmt.Errorf("remote path %s is a directory: a text has no name, so remotePath must be a file's", to)
	}
	if err := t.folder(path.Dir(to)); err != nil {
		return err
	}
	return t.write(strings.NewReader(text), to)
}

// copyPath copies as `cp -R` does: into a folder that is there under the source's own name, and a
// folder's content alone where the source ends in a slash.
func (t target) copyPath(from, to string) error {
	source, err := os.Stat(from)
	if err != nil {
		return err
	}
	there, err := t.look(to)
	if err != nil {
		return err
	}
	if !source.IsDir() {
		if there != nil && there.IsDir() {
			return t.copyFile(from, path.Join(to, path.Base(from)))
		}
		if there == nil {
			err = t.folder(path.Dir(to))
		}
		if err != nil {
			return err
		}
		return t.copyFile(from, to)
	}
	if err := t.folder(to); err != nil {
		return err
	}
	if !strings.HasSuffix(from, "/") {
		to = path.Join(to, path.Base(from))
	}
	return t.copyFolder(from, to)
}

func (t target) copyFolder(from, to string) error {
	return fs.WalkDir(os.DirFS(from), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return t.folder(path.Join(to, name))
		}
		return t.copyFile(path.Join(from, name), path.Join(to, name))
	})
}

func (t target) copyFile(from, to string) error {
	file, err := os.Open(from)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := t.write(file, to); err != nil {
		return fmt.Errorf("copy of %s: %w", from, err)
	}
	return nil
}

// write makes or overwrites a file.
func (t target) write(content io.Reader, to string) error {
	file, err := t.Client.Create(to)
	if err != nil {
		return fmt.Errorf("failed to create remote file %s: %w", to, err)
	}
	_, err = file.ReadFrom(content)
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("remote file %s: %w", to, err)
	}
	return nil
}
