namespace Sparseland.Evaluation;

/// <summary>
/// The linear assignment problem: one column for each row, no column twice, least total cost. Shortest augmenting paths
/// with dual prices (Jonker and Volgenant 1987; Crouse 2016 for rectangular costs), O(rows^2 columns).
/// </summary>
public static class LinearAssignment
{
    /// <summary>Finds an assignment of least cost.</summary>
    /// <param name="cost">Row-major [rows, columns], finite.</param>
    /// <param name="rows">Number of rows.</param>
    /// <param name="columns">Number of columns.</param>
    /// <returns>For each row its column; -1 for the rows left over when there are more rows than columns.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A size is negative.</exception>
    /// <exception cref="ArgumentException">The length does not fit the sizes, or a cost is not finite.</exception>
    public static int[] Solve(ReadOnlySpan<double> cost, int rows, int columns)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        ArgumentOutOfRangeException.ThrowIfNegative(columns);
        if (cost.Length != (long)rows * columns)
            throw new ArgumentException($"Costs [{rows}, {columns}] have {(long)rows * columns} entries, not {cost.Length}.", nameof(cost));
        for (int i = 0; i < cost.Length; i++)
        {
            if (!double.IsFinite(cost[i]))
                throw new ArgumentException($"The cost of row {i / columns}, column {i % columns} is {cost[i]}; costs must be finite.", nameof(cost));
        }
        if (rows <= columns)
            return SolveWide(cost, rows, columns);

        double[] transposed = new double[cost.Length];
        for (int row = 0; row < rows; row++)
        {
            for (int column = 0; column < columns; column++)
                transposed[(column * rows) + row] = cost[(row * columns) + column];
        }
        int[] rowOf = SolveWide(transposed, columns, rows);
        int[] columnOf = new int[rows];
        Array.Fill(columnOf, -1);
        for (int column = 0; column < columns; column++)
            columnOf[rowOf[column]] = column;
        return columnOf;
    }

    /// <summary>At most as many rows as columns: every row gets a column, along the cheapest path from it to a free one.</summary>
    private static int[] SolveWide(ReadOnlySpan<double> cost, int rows, int columns)
    {
        double[] rowPrice = new double[rows], columnPrice = new double[columns], distance = new double[columns];
        int[] columnOf = new int[rows], rowOf = new int[columns], previousRow = new int[columns], open = new int[columns];
        Array.Fill(columnOf, -1);
        Array.Fill(rowOf, -1);
        var reached = new List<int>();

        for (int start = 0; start < rows; start++)
        {
            Array.Fill(distance, double.PositiveInfinity);
            for (int column = 0; column < columns; column++)
                open[column] = column;
            int openCount = columns;
            reached.Clear();
            int row = start, sink = -1;
            double shortest = 0;
            while (sink < 0)
            {
                ReadOnlySpan<double> line = cost.Slice(row * columns, columns);
                double lowest = double.PositiveInfinity;
                int best = -1;
                for (int i = 0; i < openCount; i++)
                {
                    int column = open[i];
                    double length = shortest + line[column] - rowPrice[row] - columnPrice[column];
                    if (length < distance[column])
                    {
                        distance[column] = length;
                        previousRow[column] = row;
                    }
                    // Among equals a free column ends the search.
                    if (distance[column] < lowest || (distance[column] == lowest && rowOf[column] < 0 && rowOf[open[best]] >= 0))
                    {
                        lowest = distance[column];
                        best = i;
                    }
                }
                shortest = lowest;
                int nearest = open[best];
                open[best] = open[--openCount];
                reached.Add(nearest);
                if (rowOf[nearest] < 0)
                    sink = nearest;
                else
                    row = rowOf[nearest];
            }

            // New prices keep every reduced cost non-negative and those on the path zero.
            rowPrice[start] += shortest;
            foreach (int column in reached)
            {
                if (column == sink)
                    continue;
                rowPrice[rowOf[column]] += shortest - distance[column];
                columnPrice[column] -= shortest - distance[column];
            }

            for (int column = sink, owner = -1; owner != start;)
            {
                owner = previousRow[column];
                rowOf[column] = owner;
                (columnOf[owner], column) = (column, columnOf[owner]);
            }
        }
        return columnOf;
    }
}
