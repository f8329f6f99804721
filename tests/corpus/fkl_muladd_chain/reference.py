def reference(x, m, a):
    for i in range(len(m)):
        x = x * m[i] + a[i]
    return x
