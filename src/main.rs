//! The `promrelay` binary: see [`promrelay::cli`].

#[cfg(unix)]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    promrelay::cli::main()
}
