// Catches what some of TorchSharp's native functions throw.
//
// TorchSharp's exports turn a C++ exception into a message that CheckForErrors throws in C#, all but a few: theirs
// leaves the library, finds no handler in managed code, and std::terminate ends the process. Each function below stands
// in for one of them (NativeGuard.cs binds TorchSharp's import to it): it calls the real one, catches the exception
// while C++ frames are unwound as usual, keeps the message, and returns nothing; TorchSharp then asks for the last
// error, as it always does, and throws its ExternalException.
//
// It also puts off the end of scalars (THSTorch_dispose_scalar). TorchSharp makes a native scalar of every number that is given to
// an operation, and its finalizer may free it while the operation still reads it: the wrapper is garbage from the moment on
// that its handle was read. Then the number is another one, or its type unknown. A scalar is freed when 65,536 others
// have been given up after it.
//
// Making command, in this folder (any GCC on x86-64 Linux; it needs nothing newer than glibc 2.3 and libstdc++ of GCC 3.4 at run time):
//   g++ -std=c++17 -O2 -fPIC -shared -fvisibility=hidden -s -Wl,--build-id=none -Wl,-z,noexecstack -o guard-linux-x64.so guard.cpp

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>

#define GUARD extern "C" __attribute__((visibility("default")))

// The real functions, in the order of NativeGuard.Functions.
extern "C" {
__attribute__((visibility("default"))) void* sparseland_real[8];
}

namespace {

thread_local char* message = nullptr;   // waits to be asked for
thread_local char* handed_out = nullptr; // the caller copies it at once; freed with the next one

template <typename Function, typename... Arguments>
auto guarded(int index, Arguments... arguments) -> decltype(Function()(arguments...))
{
    using Result = decltype(Function()(arguments...));
    try {
        return reinterpret_cast<Function>(sparseland_real[index])(arguments...);
    } catch (const std::exception& e) {
        std::free(message);
        message = strdup(e.what());
        return Result();
    }
}

// Scalars that were given up, in a ring of half a megabyte.
constexpr uint64_t kept = 1 << 16;
std::atomic<void*> scalars[kept];
std::atomic<uint64_t> given_up;

}

GUARD void THSTorch_dispose_scalar(void* scalar)
{
    void* old = scalars[given_up.fetch_add(1, std::memory_order_relaxed) % kept].exchange(scalar, std::memory_order_acq_rel);
    if (old != nullptr)
        reinterpret_cast<void (*)(void*)>(sparseland_real[7])(old);
}

GUARD const char* THSTorch_get_and_reset_last_err()
{
    const char* own = reinterpret_cast<const char* (*)()>(sparseland_real[0])();
    if (message == nullptr)
        return own;
    std::free(handed_out);
    handed_out = message;
    message = nullptr;
    return handed_out;
}

GUARD void* THSTensor_matmul(void* left, void* right)
{
    return guarded<void* (*)(void*, void*)>(1, left, right);
}

GUARD void THSAutograd_grad(void* outputs, int64_t outputCount, void* inputs, int64_t inputCount, void* gradients,
    int64_t gradientCount, bool retainGraph, bool createGraph, bool allowUnused, void* allocator)
{
    guarded<void (*)(void*, int64_t, void*, int64_t, void*, int64_t, bool, bool, bool, void*)>(
        2, outputs, outputCount, inputs, inputCount, gradients, gradientCount, retainGraph, createGraph, allowUnused, allocator);
}

GUARD void THSTensor_cummax(void* tensor, void* allocator, int64_t dimension)
{
    guarded<void (*)(void*, void*, int64_t)>(3, tensor, allocator, dimension);
}

GUARD void THSTensor_cummin(void* tensor, void* allocator, int64_t dimension)
{
    guarded<void (*)(void*, void*, int64_t)>(4, tensor, allocator, dimension);
}

GUARD void THSGenerator_set_rng_state(void* generator, void* state)
{
    guarded<void (*)(void*, void*)>(5, generator, state);
}

GUARD void* THSNN_LBFGS_ctor(void* parameters, int32_t count, double rate, int64_t iterations, int64_t evaluations,
    double gradientTolerance, double changeTolerance, int64_t history)
{
    return guarded<void* (*)(void*, int32_t, double, int64_t, int64_t, double, double, int64_t)>(
        6, parameters, count, rate, iterations, evaluations, gradientTolerance, changeTolerance, history);
}
