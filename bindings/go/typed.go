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

// verdicts maps each reflect.Type that was asked for to an error, or to nil if samples can be looked at as
// its values.
var verdicts sync.Map

var errNoSpan = invalid("the span is not one of a reader")

// Typed looks at samples as values of T where they lie: nothing is copied or decoded. It is made by
// [TypedOf], and any goroutine may use it. The zero Typed refuses every sample.
type Typed[T any] struct {
	isSound bool
}

// TypedOf checks T. It is best called once, when the program starts. T may be a number of a known size (not
// int, uint or uintptr), or an array or a struct of these. Its byte order is the machine's, as in what a BPF
// program writes.
//
// For other types the error is syscall.EINVAL, and names the field. Pointers, strings and slices are refused.
// So are bool, because not every byte is one, and padding, because C and Go may have it in different places.
// Declare it as a field, such as _ [4]byte.
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

// As looks at a sample as a T. The result is the sample's memory: it is valid as long as the sample, and must
// not be written if the sample lies in a ring. A sample may be longer than T, so that records can grow.
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

// Span checks a span once, and returns a loop over its samples as values of T, with their indexes. The values
// are valid as long as the span. Errors are those of [Typed.As].
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

// As looks at one sample as a T, as [Typed.As] does. Each call looks up the result of [TypedOf]: for many
// samples a Typed is cheaper.
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
// Each value is valid until the loop goes on or is left. A sample that is not a T comes as an error of
// [Typed.As], after which the loop can go on. Any other error ends the loop, such as context.Cause of ctx
// when that is done. The values are those of all rings of the reader, and do not say which. For rings with records
// of different types there is [Typed.As] in the loop of Reader.Records. The loop gives back what it has seen, also if the reader was opened [WithRelease],
// because a value cannot be released.
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

// check tells whether Go lays a type out as BPF programs do, and any bytes are a value of it.
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

// alignment is that of BPF programs, which are 64-bit. It is larger than Go's on 32-bit machines.
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
