// SPDX-License-Identifier: MIT

package ringbuf

import (
	"context"
	"fmt"
	"iter"
	"reflect"
	"sync"
	"unsafe"
)

// What is known of types that were asked for: reflect.Type to error, nil if samples can be looked at as
// such.
var verdicts sync.Map

var errNoSpan = invalid("the span is not one of a reader")

// Typed looks at samples as values of T, where they lie: nothing is copied, and nothing decoded. It is
// made by [TypedOf], and usable by any goroutine. The zero Typed refuses every sample.
type Typed[T any] struct {
	isSound bool
}

// TypedOf checks T, which is best done once, when the program starts. T may be a number of a known size
// (not int, uint or uintptr), an array of such or a struct of them, and has the byte order of the
// machine, as what a BPF program writes.
//
// The error is syscall.EINVAL otherwise, and names the field: pointers, strings, slices and bool, for
// not all bytes are one; and padding, which C and Go need not have in the same places. What is to be
// left out is a field as well, such as _ [4]byte.
func TypedOf[T any]() (Typed[T], error) {
	kind := reflect.TypeFor[T]()
	if verdict, ok := verdicts.Load(kind); ok {
		err, _ := verdict.(error)
		return Typed[T]{isSound: err == nil}, err
	}
	err := check(kind, kind.String())
	if err == nil && kind.Size() == 0 {
		err = invalid(kind.String() + " has no bytes")
	}
	if err == nil {
		verdicts.Store(kind, nil)
	} else {
		verdicts.Store(kind, err)
	}
	return Typed[T]{isSound: err == nil}, err
}

// As looks at a sample as a T. The result is the sample's memory: it is valid as long as that, and must
// not be written where that lies in a ring. A sample may be longer than T, so that records can grow.
//
// The error is syscall.EINVAL if the sample is shorter, or is not aligned as T needs it. Samples of this
// package are aligned to 8 bytes, those in a ring and, if RawSample was nil before, copies.
func (t Typed[T]) As(sample []byte) (*T, error) {
	data := unsafe.Pointer(unsafe.SliceData(sample))
	if !t.isSound || uintptr(len(sample)) < unsafe.Sizeof(*(*T)(nil)) ||
		uintptr(data)%unsafe.Alignof(*(*T)(nil)) != 0 {
		return nil, t.refuse(sample)
	}
	return (*T)(data), nil
}

// Span is a loop over the samples of a span as values of T, with their numbers, which checks the span
// once. The values are valid as long as the span. Errors are those of [Typed.As].
func (t Typed[T]) Span(s *Span) (iter.Seq2[int, *T], error) {
	if s == nil {
		return nil, errNoSpan
	}
	size, stride, count := s.Size, s.Stride, s.Count
	if count <= 0 || size < 0 || stride < max(size, 8) || stride%8 != 0 || size > len(s.Data) ||
		count-1 > (len(s.Data)-size)/stride {
		return nil, errNoSpan
	}
	if _, err := t.As(s.Data[:size]); err != nil {
		return nil, err
	}
	data := unsafe.Pointer(unsafe.SliceData(s.Data))
	return func(yield func(int, *T) bool) {
		for i := range count {
			if !yield(i, (*T)(unsafe.Add(data, i*stride))) {
				return
			}
		}
	}, nil
}

// refuse says why a sample cannot be looked at as a T.
func (t Typed[T]) refuse(sample []byte) error {
	kind := reflect.TypeFor[T]()
	switch {
	case !t.isSound:
		return invalid(fmt.Sprintf("this Typed of %v was not made by TypedOf", kind))
	case uintptr(len(sample)) < kind.Size():
		return invalid(fmt.Sprintf("a sample of %d bytes is too short for %v, which has %d",
			len(sample), kind, kind.Size()))
	default:
		return invalid(fmt.Sprintf("the sample is not aligned to %d bytes, as %v must be", kind.Align(), kind))
	}
}

// As looks at one sample as a T, as [Typed.As] does: for a few of them, as it looks up each time what
// [TypedOf] said of T.
func As[T any](sample []byte) (*T, error) {
	typed, err := TypedOf[T]()
	if err != nil {
		return nil, err
	}
	return typed.As(sample)
}

// Records is the loop of [Reader.Records], with samples as values of T:
//
//	for event, err := range ringbuf.Records[event](ctx, reader) {
//
// Each is valid until the loop goes on or is left. A sample that is no T comes as an error of
// [Typed.As], after which the loop can go on. Any other error, among them context.Cause of ctx when that
// is done, is the last that comes. Of a reader opened [WithRelease], too, the loop gives back what it has
// seen: a value cannot be released.
func Records[T any](ctx context.Context, r *Reader) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		typed, err := TypedOf[T]()
		if err == nil {
			isLeft := false
			var failed error
			err = r.each(ctx, func(rec *Record) bool {
				isLeft = !yield(typed.As(rec.RawSample))
				failed = r.releaseSeen(rec)
				return !isLeft && failed == nil
			})
			if isLeft {
				return
			}
			if failed != nil {
				err = failed
			}
		}
		yield(nil, err)
	}
}

// check tells whether Go has a type as BPF programs have it, and each of its values is one.
func check(kind reflect.Type, name string) error {
	switch kind.Kind() {
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Float32, reflect.Float64,
		reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return nil
	case reflect.Array:
		return check(kind.Elem(), name)
	case reflect.Struct:
		return checkFields(kind, name)
	default:
		return invalid(fmt.Sprintf("%s is a %v, and not a number of a known size, or an array or a struct of such",
			name, kind))
	}
}

func checkFields(kind reflect.Type, name string) error {
	end := uintptr(0)
	for i := range kind.NumField() {
		field := kind.Field(i)
		if err := check(field.Type, name+"."+field.Name); err != nil {
			return err
		}
		if padding := -end % alignment(field.Type); padding != 0 {
			return invalid(fmt.Sprintf("%s.%s has padding before it, which must be a field: _ [%d]byte",
				name, field.Name, padding))
		}
		end += field.Type.Size()
	}
	if n := kind.NumField(); n > 0 && end > 0 && kind.Field(n-1).Type.Size() == 0 {
		return invalid(fmt.Sprintf("%s.%s has no bytes, and Go lays padding behind it at the end: leave it out",
			name, kind.Field(n-1).Name))
	}
	if padding := max(-end%alignment(kind), kind.Size()-end); padding != 0 {
		return invalid(fmt.Sprintf("%s has padding at its end, which must be a field: _ [%d]byte", name, padding))
	}
	return nil
}

// alignment is that of BPF programs, which have 64 bits. It is larger than Go's on 32-bit machines.
func alignment(kind reflect.Type) uintptr {
	switch kind.Kind() {
	case reflect.Array:
		return alignment(kind.Elem())
	case reflect.Struct:
		most := uintptr(1)
		for i := range kind.NumField() {
			most = max(most, alignment(kind.Field(i).Type))
		}
		return most
	default:
		return kind.Size()
	}
}
