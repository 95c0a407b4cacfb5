package main

import (
	"context"
	"math"
	"path/filepath"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// node is a file or a directory; all that changes what is in a file is seen.
type node struct {
	fs.LoopbackNode
	unsynced *unsynced
}

func newRoot(directory string, unsynced *unsynced) (fs.InodeEmbedder, error) {
	var stat syscall.Stat_t
	if err := syscall.Stat(directory, &stat); err != nil {
		return nil, err
	}
	data := &fs.LoopbackRoot{Path: directory, Dev: uint64(stat.Dev)}
	data.NewNode = func(root *fs.LoopbackRoot, _ *fs.Inode, _ string, _ *syscall.Stat_t) fs.InodeEmbedder {
		return &node{LoopbackNode: fs.LoopbackNode{RootData: root}, unsynced: unsynced}
	}
	root := data.NewNode(data, nil, "", &stat)
	data.RootNode = root
	return root, nil
}

func (n *node) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if flags&syscall.O_TRUNC != 0 {
		if errno := n.truncate(0, func() syscall.Errno { return 0 }); errno != 0 {
			return nil, 0, errno
		}
	}
	handle, given, errno := n.LoopbackNode.Open(ctx, flags)
	return n.opened(handle), given, errno
}

func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	inode, handle, given, errno := n.LoopbackNode.Create(ctx, name, flags, mode, out)
	return inode, n.opened(handle), given, errno
}

// Setattr changes a file's size, among others.
func (n *node) Setattr(ctx context.Context, handle fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	act := func() syscall.Errno { return n.LoopbackNode.Setattr(ctx, handle, in, out) }
	if size, isSized := in.GetSize(); isSized {
		return n.truncate(int64(size), act)
	}
	return act()
}

// CopyFileRange is not there: whoever wants it reads and writes.
func (n *node) CopyFileRange(context.Context, fs.FileHandle, uint64, *fs.Inode, fs.FileHandle, uint64, uint64, uint64) (uint32, syscall.Errno) {
	return 0, syscall.ENOSYS
}

func (n *node) truncate(size int64, act func() syscall.Errno) syscall.Errno {
	path := filepath.Join(n.RootData.Path, n.Path(n.Root()))
	fd, err := syscall.Open(path, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return fs.ToErrno(err)
	}
	defer syscall.Close(fd)
	return n.unsynced.change(fd, size, math.MaxInt64, act)
}

func (n *node) opened(handle fs.FileHandle) fs.FileHandle {
	loopback, isFile := handle.(*fs.LoopbackFile)
	if !isFile {
		return handle
	}
	fd, _ := loopback.PassthroughFd()
	return &file{LoopbackFile: loopback, fd: fd, unsynced: n.unsynced}
}

// file is one that is open.
type file struct {
	*fs.LoopbackFile
	fd       int
	unsynced *unsynced
}

// PassthroughFd would have the kernel write past this.
func (f *file) PassthroughFd() (int, bool) {
	return 0, false
}

func (f *file) Write(ctx context.Context, data []byte, from int64) (written uint32, errno syscall.Errno) {
	errno = f.unsynced.change(f.fd, from, from+int64(len(data)), func() (errno syscall.Errno) {
		written, errno = f.LoopbackFile.Write(ctx, data, from)
		return errno
	})
	return written, errno
}

func (f *file) Fsync(context.Context, uint32) syscall.Errno {
	return f.unsynced.sync(f.fd)
}

// Allocate is not there: whoever wants it writes zeros.
func (f *file) Allocate(context.Context, uint64, uint64, uint32) syscall.Errno {
	return syscall.ENOTSUP
}
