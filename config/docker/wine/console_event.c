/* console_event.exe EVENT COMMAND: starts a program, waits for a line on standard input, and tells
   the program EVENT as Windows' console would; ends as the program does. 0 is Ctrl-C, 1 Ctrl-Break,
   2 that its window closes, 6 that the machine or the container stops. Windows lets nobody send the
   last two, and Wine has no console here; but what a console does in the end is to run this routine
   in the program. */
#include <stdio.h>
#include <stdlib.h>
#include <windows.h>

int main(int count, char **arguments)
{
    STARTUPINFOA startup = {.cb = sizeof startup};
    PROCESS_INFORMATION program;
    HMODULE library = GetModuleHandleA("kernelbase.dll");
    LPTHREAD_START_ROUTINE routine = (void *)GetProcAddress(library, "CtrlRoutine");
    DWORD code;

    if (count != 3 || !routine)
        return 100;
    if (!CreateProcessA(NULL, arguments[2], NULL, NULL, TRUE, 0, NULL, NULL, &startup, &program))
        return 101;
    getchar();
    void *event = (void *)(size_t)atoi(arguments[1]);
    if (!CreateRemoteThread(program.hProcess, NULL, 0, routine, event, 0, NULL))
        return 102;
    if (WaitForSingleObject(program.hProcess, 10000) != WAIT_OBJECT_0) {
        TerminateProcess(program.hProcess, 1);
        return 103;
    }
    GetExitCodeProcess(program.hProcess, &code);
    return (int)code;
}
