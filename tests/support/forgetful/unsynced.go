package main

import (
	"fmt"
	"sync"
	"syscall"
)

const page = 4096

// before is what a file had when it was synced last.
type before struct {
	// fd is open for as long as the file is remembered, so that its number is no other file's.
	fd   int
	size int64
	// pages that were written since, by their number, as far as there were any.
	pages map[int64][]byte
}

// unsynced remembers what files had before they were written, until they are synced.
type unsynced struct {
	mutex sync.Mutex
	files map[uint64]*before
}

func newUnsynced() *unsynced {
	return &unsynced{files: map[uint64]*before{}}
}

// change does something to a part of a file, once it is remembered what was there. The end of the part may lie
// beyond the file's.
func (all *unsynced) change(fd int, from, to int64, act func() syscall.Errno) syscall.Errno {
	all.mutex.Lock()
	defer all.mutex.Unlock()
	if err := all.remember(fd, from, to); err != nil {
		return syscall.EIO
	}
	return act()
}

func (all *unsynced) remember(fd int, from, to int64) error {
	var stat syscall.Stat_t
	if err := syscall.Fstat(fd, &stat); err != nil {
		return err
	}
	one := all.files[stat.Ino]
	if one == nil {
		// It may be open for writing alone
		own, err := syscall.Open(fmt.Sprintf("/proc/self/fd/%d", fd), syscall.O_RDWR|syscall.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		one = &before{fd: own, size: stat.Size, pages: map[int64][]byte{}}
		all.files[stat.Ino] = one
	}
	for number := from / page; number*page < min(to, one.size); number++ {
		if one.pages[number] != nil {
			continue
		}
		text := make([]byte, min(page, one.size-number*page))
		if _, err := syscall.Pread(one.fd, text, number*page); err != nil {
			return err
		}
		one.pages[number] = text
	}
	return nil
}

// sync has a file keep what it has.
func (all *unsynced) sync(fd int) syscall.Errno {
	all.mutex.Lock()
	defer all.mutex.Unlock()
	var stat syscall.Stat_t
	if err := syscall.Fstat(fd, &stat); err != nil {
		return syscall.EIO
	}
	if one := all.files[stat.Ino]; one != nil {
		syscall.Close(one.fd)
		delete(all.files, stat.Ino)
	}
	return 0
}

// lose gives all files what they had when they were synced last. Nothing can be written any more.
func (all *unsynced) lose() error {
	all.mutex.Lock()
	for _, one := range all.files {
		for number, text := range one.pages {
			if _, err := syscall.Pwrite(one.fd, text, number*page); err != nil {
				return err
			}
		}
		if err := syscall.Ftruncate(one.fd, one.size); err != nil {
			return err
		}
	}
	return nil
}
